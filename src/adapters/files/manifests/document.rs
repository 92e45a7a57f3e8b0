//! From text to objects: documents of YAML, values of JSON, and the items of lists.
//!
//! The items of a list are handed on one by one while the list is read, so that a list of 100,000 pods is never in memory as a
//! tree. That works for `kind: List` as for typed lists (`PodList`), whose items may leave out their kind.

use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::adapters::files::manifests::source::not_utf8;
use crate::adapters::files::manifests::untyped::Place;
use crate::adapters::kube::cluster_view::error::{InputError, MAX_ERRORS};
use crate::adapters::kube::cluster_view::objects::Objects;

/// Deeper nesting than any Kubernetes object has, and shallow enough for the stack.
const MAX_DEPTH: usize = 128;
/// How much aliases may repeat in one document: what stops a bomb of anchors.
const MAX_REPLAYED_EVENTS: usize = 1_000_000;

/// Reads JSON values, one after the other.
pub(super) fn read_json(file: &str, mut reader: impl BufRead, objects: &mut Objects) {
    for number in 1.. {
        match next_is_value(&mut reader) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                objects.errors.push(InputError::of_file(file, format!("cannot be read: {error}"), "check the file"));
                return;
            }
        }
        let place = Place { file, document: number, line: None };
        let mut parser = serde_json::Deserializer::from_reader(&mut reader);
        if let Err(error) = (Document { objects, place }).deserialize(&mut parser) {
            if objects.errors.len() < MAX_ERRORS {
                objects.errors.push(json_error(place, &error));
            }
            return;
        }
    }
}

/// Skips blanks; whether anything comes after them.
fn next_is_value(reader: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let more = blanks < buffer.len();
        reader.consume(blanks);
        if more {
            return Ok(true);
        }
    }
}

fn json_error(place: Place<'_>, error: &serde_json::Error) -> InputError {
    let text = error.to_string();
    if text.starts_with("invalid unicode code point") {
        return not_utf8(place.file, &format!("not UTF-8 text: {text}"));
    }
    let mend = if error.is_eof() {
        "the file ends too early: was it cut off while it was written?"
    } else {
        "mend the JSON at that place; a Helm template must be rendered first (`helm template`)"
    };
    InputError { object: Some(place.to_string()), ..InputError::of_file(place.file, format!("not valid JSON: {text}"), mend) }
}

/// Reads YAML documents.
pub(super) fn read_yaml(file: &str, text: &str, objects: &mut Objects) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, (line, document)) in split_documents(text).into_iter().enumerate() {
        if objects.errors.len() >= MAX_ERRORS {
            return;
        }
        let place = Place { file, document: index + 1, line: Some(line) };
        let read = serde_saphyr::with_deserializer_from_str_with_options(document, options(), |parser| {
            (Document { objects: &mut *objects, place }).deserialize(parser)
        });
        if let Err(error) = read
            && objects.errors.len() < MAX_ERRORS
        {
            objects.errors.push(yaml_error(place, document, &error));
        }
    }
}

fn options() -> serde_saphyr::Options {
    let budget = serde_saphyr::budget! {
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        max_total_comment_bytes: usize::MAX,
        max_depth: MAX_DEPTH,
        enforce_alias_anchor_ratio: false,
    };
    let mut options = serde_saphyr::options! {
        budget: budget,
        with_snippet: false,
    };
    options.alias_limits.max_total_replayed_events = MAX_REPLAYED_EVENTS;
    options
}

fn yaml_error(place: Place<'_>, document: &str, error: &serde_saphyr::Error) -> InputError {
    let first_line = place.line.unwrap_or(1);
    let text = error.without_snippet().to_string();
    // The parser counts lines from the start of the document; people count them from the start of the file.
    let (what, at) = match error.location() {
        Some(location) => {
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            let line = first_line + usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
            (what.to_owned(), format!(" at line {line}, column {}", location.column()))
        }
        None => (text, String::new()),
    };
    let mend = if document.contains("{{") {
        "this looks like a Helm template: render it first (`helm template`)"
    } else {
        "mend the YAML at that place: check the indentation, quotes and brackets above it, and whether the file is complete"
    };
    let problem = format!("not valid YAML: {}{at}", what.trim());
    InputError { object: Some(place.to_string()), ..InputError::of_file(place.file, problem, mend) }
}

/// The documents of `text` with the line that each begins on. Documents without content are left out.
fn split_documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let (mut has_content, mut has_directive) = (false, false);
    let mut position = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker {
            if has_content {
                documents.push((first_line, &text[start..position]));
            }
            // A directive (`%YAML 1.2`) belongs to the document after the marker.
            if has_content || !has_directive {
                (start, first_line) = (position, index + 1);
            }
            has_content = !is_blank(&line[3..]);
            has_directive = false;
        } else if line.starts_with('%') {
            has_directive = true;
        } else {
            has_content |= !is_blank(line);
        }
        position += line.len();
    }
    if has_content {
        documents.push((first_line, &text[start..]));
    }
    documents
}

/// Whether a line holds nothing but a comment or the end marker.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "..."
}

/// Reads one document: an object, or a list of objects.
struct Document<'a, 'f> {
    objects: &'a mut Objects,
    place: Place<'f>,
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Kubernetes object (a map with apiVersion and kind)")
    }

    /// An empty document.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut object = Map::new();
        let mut kindless = None;
        while let Some(key) = entries.next_key::<String>()? {
            let kind = object.get("kind").and_then(Value::as_str);
            if key == "items" && kind.is_none_or(|kind| kind.ends_with("List")) {
                let list = object.clone();
                kindless =
                    Some(entries.next_value_seed(Items { objects: &mut *self.objects, place: self.place, list: &list })?);
            } else {
                object.insert(key, entries.next_value()?);
            }
        }
        match kindless {
            None => self.objects.accept(Value::Object(object), self.place),
            Some(items) => self.objects.accept_kindless(items, &object, self.place),
        }
        Ok(())
    }
}

/// Reads the items of a list; what it returns are the items whose kind is not known yet, because the list's own kind comes
/// after its items.
struct Items<'a, 'f> {
    objects: &'a mut Objects,
    place: Place<'f>,
    /// What is known of the list so far.
    list: &'a Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<Value>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Value>, A::Error> {
        let mut kindless = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            if self.objects.errors.len() >= MAX_ERRORS {
                return Err(A::Error::custom("too many errors"));
            }
            if item.get("kind").is_some() {
                self.objects.accept(item, self.place);
            } else if self.list.contains_key("kind") {
                self.objects.accept_kindless(vec![item], self.list, self.place);
            } else {
                kindless.push(item);
            }
        }
        Ok(kindless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_at_their_markers() {
        let check = |text: &str, expected: &[(usize, &str)]| assert_eq!(split_documents(text), expected, "{text:?}");
        check("a: 1\n---\nb: 2\n", &[(1, "a: 1\n"), (2, "---\nb: 2\n")]);
        check("---\n# nothing\n---\n---\na: 1", &[(4, "---\na: 1")]);
        check("%YAML 1.2\n---\na: 1\n", &[(1, "%YAML 1.2\n---\na: 1\n")]);
        check("a: |\n  ---\n----\n", &[(1, "a: |\n  ---\n----\n")]);
        check("a: 1\r\n---\r\nb: 2\r\n", &[(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]);
        check("", &[]);
    }
}
