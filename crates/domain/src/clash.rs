//! Under which name a database is restored, whatever its engine: an existing database is never touched unless the operator
//! asked for exactly that, and names of a restore's own follow from what it was asked for, so that a new attempt finds what
//! an interrupted one left. What an engine takes for a name, and for the same name, its own module knows.

use sha2::{Digest, Sha256};

/// What to do where a database of the target's name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnClash {
    /// Refuse.
    #[default]
    Refuse,
    /// Take the next free name: `orders_restored_1`.
    Suffix,
    /// Drop the existing database once the restored one is complete.
    Replace,
}

/// The name a restored database gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName {
    /// The final name.
    pub name: String,
    /// Whether a database of that name is to go.
    pub replaces: bool,
}

/// The first free one of `orders_restored_1`, `orders_restored_2` and so on, none of them longer than `longest` by the
/// engine's own measure of a text.
pub(crate) fn suffixed(
    wanted: &str,
    longest: usize,
    measure: fn(&str) -> usize,
    is_taken: impl Fn(&str) -> bool,
) -> Option<String> {
    let with = |number: u64| {
        let suffix = format!("_restored_{number}");
        let mut kept = wanted;
        while measure(kept) + measure(&suffix) > longest {
            // Never through the middle of a character.
            let (last, _) = kept.char_indices().next_back()?;
            kept = &kept[..last];
        }
        Some(format!("{kept}{suffix}"))
    };
    (1_u64..).map_while(with).find(|name| !is_taken(name))
}

/// The name a database has while it is being restored. `wanted` is the name it was asked to get, before any suffix: so the
/// same for every attempt under the same key, whatever is on the target, and a new attempt finds what an interrupted one left.
pub fn working_name(key: &str, database: &str, wanted: &str) -> String {
    let mut digest = Sha256::new();
    for part in [key, database, wanted] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("haulier_restoring_{}", &hex::encode(digest.finalize())[..16])
}

/// The name a replaced database has between the swap and its end.
pub fn replaced_name(working: &str) -> String {
    working.replacen("restoring", "replaced", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_fits_by_the_engines_measure_and_cuts_no_character_in_two() {
        let bytes = |text: &str| text.len();
        let long = "é".repeat(31);
        let chosen = suffixed(&long, 63, bytes, |name| name.ends_with("_1")).unwrap_or_default();
        assert!(chosen.len() <= 63 && chosen.ends_with("é_restored_2"), "{chosen}");
        let utf16 = |text: &str| text.encode_utf16().count();
        let chosen = suffixed(&"𝄞".repeat(64), 128, utf16, |_| false).unwrap_or_default();
        assert!(utf16(&chosen) <= 128 && utf16(&chosen) >= 127, "{}", utf16(&chosen));
    }

    #[test]
    fn working_names_repeat_for_one_key_and_differ_otherwise() {
        let name = working_name("ses-1", "orders", "orders");
        assert_eq!(name, working_name("ses-1", "orders", "orders"));
        assert_ne!(name, working_name("ses-2", "orders", "orders"));
        assert_ne!(working_name("k", "ab", "c"), working_name("k", "a", "bc"));
        assert!(name.len() <= 63);
        assert_ne!(replaced_name(&name), name);
    }
}
