//! A hash that is the same in every version of the program: what is named or compared by it outlives the program.

/// The hash of Fowler, Noll and Vo (FNV-1a, 64 bits). It keeps apart what differs by accident, not by intent.
#[must_use]
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The same of several texts, each ended by a zero byte, so that `ab`, `c` is not `a`, `bc`.
#[must_use]
pub fn fnv1a_of_parts(parts: &[&str]) -> u64 {
    fnv1a(parts.iter().flat_map(|part| part.bytes().chain([0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        // From the test vectors that the authors publish.
        assert_eq!(fnv1a([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(fnv1a_of_parts(&["ab", "c"]), fnv1a_of_parts(&["a", "bc"]));
    }
}
