//! User data of several parts (RFC 2046, multipart), as cloud-init and nodeadm read it.

/// Between the parts that we write.
const BOUNDARY: &str = "//";
/// How a shell script is marked.
pub(super) const SHELL_SCRIPT: &str = "text/x-shellscript; charset=\"us-ascii\"";

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Header lines as they are written: the type, and how the content is encoded if it is.
    headers: Vec<String>,
    content: String,
}

impl Part {
    /// Plain text of that type.
    pub(super) fn new(content_type: &str, content: &str) -> Self {
        Self { headers: vec![format!("Content-Type: {content_type}")], content: content.to_owned() }
    }
}

/// Whether `text` says that it consists of parts.
pub(super) fn is_multipart(text: &str) -> bool {
    ["MIME-Version:", "Content-Type:"].iter().any(|start| text.starts_with(start))
}

/// The parts in one text.
pub(super) fn join(parts: &[Part]) -> String {
    let mut made = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\n\n");
    for part in parts {
        made.push_str(&format!("--{BOUNDARY}\n{}\n\n{}\n", part.headers.join("\n"), part.content.trim_end_matches('\n')));
    }
    made.push_str(&format!("--{BOUNDARY}--\n"));
    made.replace('\r', "")
}

/// The parts of a text that consists of them.
///
/// # Errors
/// A sentence about what is no such text in it.
pub(super) fn split(text: &str) -> Result<Vec<Part>, String> {
    let text = text.replace('\r', "");
    let (headers, body) = head(&text);
    let content_type = header(&headers, "Content-Type").ok_or("it has no Content-Type")?;
    if !content_type.to_ascii_lowercase().starts_with("multipart/") {
        return Err(format!("its Content-Type is `{content_type}`, not multipart/mixed"));
    }
    let boundary = boundary(&content_type).ok_or("its Content-Type names no boundary")?;
    let (between, end) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts: Vec<String> = Vec::new();
    let mut inside = false;
    for line in body.lines() {
        let line_end = line.trim_end();
        if line_end == end {
            return Ok(parts.iter().map(|part| part_of(part)).collect());
        }
        if line_end == between {
            inside = true;
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut().filter(|_| inside) {
            last.push_str(line);
            last.push('\n');
        }
    }
    Err(format!("the line `{end}` that closes it is missing"))
}

fn part_of(text: &str) -> Part {
    let (headers, content) = head(text);
    let kept: Vec<String> = headers.into_iter().filter(|line| line.to_ascii_lowercase().starts_with("content-")).collect();
    let headers = if kept.is_empty() { vec![format!("Content-Type: {SHELL_SCRIPT}")] } else { kept };
    Part { headers, content: content.trim_end_matches('\n').to_owned() }
}

/// Header lines up to the first empty line, each on one line, and what follows.
fn head(text: &str) -> (Vec<String>, &str) {
    let mut headers: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if line.trim().is_empty() {
            break;
        }
        match headers.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(last) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            None => headers.push(line.trim_end().to_owned()),
        }
    }
    (headers, rest)
}

fn header(headers: &[String], name: &str) -> Option<String> {
    headers.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn boundary(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_can_be_split() {
        let parts = [Part::new(SHELL_SCRIPT, "#!/bin/bash\necho a"), Part::new("application/node.eks.aws", "kind: NodeConfig")];
        let text = join(&parts);
        assert!(text.starts_with("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\n"), "{text}");
        assert!(text.ends_with("\n--//--\n"), "{text}");
        assert_eq!(split(&text), Ok(parts.to_vec()));
    }

    #[test]
    fn parts_of_others_keep_their_headers() {
        let text = "Content-Type: multipart/mixed;\r\n boundary=\"AB\"\r\nMIME-Version: 1.0\r\n\r\nignored\r\n--AB\r\n\
                    Content-Type: text/cloud-config\r\nContent-Transfer-Encoding: base64\r\nX-Note: no\r\n\r\nYQ==\r\n--AB--\r\n";
        let parts = split(text).expect("it is one");
        let headers = ["Content-Type: text/cloud-config", "Content-Transfer-Encoding: base64"].map(str::to_owned).to_vec();
        assert_eq!(parts, [Part { headers, content: "YQ==".to_owned() }]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("MIME-Version: 1.0\n\nx", "no Content-Type"),
            ("Content-Type: text/plain\n\nx", "not multipart/mixed"),
            ("Content-Type: multipart/mixed\n\nx", "names no boundary"),
            ("Content-Type: multipart/mixed; boundary=\"B\"\n\n--B\n\nx\n", "`--B--` that closes it is missing"),
        ] {
            assert!(split(text).expect_err("broken").contains(problem), "{text}");
        }
    }
}
