//! Numbers and counted nouns in messages.

/// Groups digits by three: `140,231,872`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun in the singular or plural: `1 job`, `3 jobs`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 140_231_872].map(grouped), ["0", "999", "1,000", "140,231,872"]);
    }

    #[test]
    fn the_plural_follows_the_number() {
        assert_eq!([0, 1, 2, 1000].map(|n| counted(n, "job")), ["0 jobs", "1 job", "2 jobs", "1,000 jobs"]);
    }
}
