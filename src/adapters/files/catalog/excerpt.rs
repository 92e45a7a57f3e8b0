//! Part of a catalog: the same files with fewer instance types.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::files::catalog::{CatalogError, INSTANCE_TYPES, OFFERINGS, SPOT};

/// The column that says which type a line is about; the first of its table.
const OF_TYPE: &str = "instance_type";

/// The files `texts` of a catalog with the lines of the instance types `kept` alone.
///
/// # Errors
/// A table that is no CSV or does not begin with the column `instance_type`.
pub fn only_types(texts: &BTreeMap<String, String>, kept: &BTreeSet<&str>) -> Result<BTreeMap<String, String>, CatalogError> {
    let cut = |(name, text): (&String, &String)| {
        let by_type = [INSTANCE_TYPES, OFFERINGS, SPOT].contains(&name.as_str());
        let text = if by_type { lines_of(name, text, kept)? } else { text.clone() };
        Ok((name.clone(), text))
    };
    texts.iter().map(cut).collect()
}

/// Head and lines of these types. Names of types need no quotes, and no cell of a catalog has line feeds in it.
fn lines_of(name: &str, text: &str, kept: &BTreeSet<&str>) -> Result<String, CatalogError> {
    let first_cell = |line: &str| line.split(',').next().unwrap_or_default().trim().to_owned();
    let mut lines = text.split_inclusive('\n');
    let head = lines.next().unwrap_or_default();
    if first_cell(head) != OF_TYPE {
        return Err(CatalogError::line(name, 1, &format!("does not begin with `{OF_TYPE}`"), "write that column first"));
    }
    Ok(std::iter::once(head).chain(lines.filter(|line| kept.contains(first_cell(line).as_str()))).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::adapters::files::catalog::{from_texts, texts};

    #[test]
    fn what_is_left_is_a_catalog_with_the_same_offerings() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pricing-cache/us-east-1");
        let all = texts(&folder).expect("the catalog is there");
        let whole = from_texts(&all).expect("the catalog is sound");
        let cut = from_texts(&only_types(&all, &BTreeSet::from(["m5.large", "c7g.xlarge"])).expect("tables")).expect("sound");
        let expected: Vec<_> =
            whole.instance_types.iter().filter(|kind| ["c7g.xlarge", "m5.large"].contains(&kind.name.as_str())).collect();
        assert_eq!(expected.len(), 2);
        assert_eq!(cut.instance_types.iter().collect::<Vec<_>>(), expected);
    }
}
