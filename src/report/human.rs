//! Formatting numbers for people.

use std::time::Duration;

pub use crate::domain::{counted, grouped};

/// A duration in its two largest units: `0.4s`, `12s`, `1m04s`, `2h05m`, `3d04h`.
pub fn duration(time: Duration) -> String {
    let tenths = rounded(time, 100);
    if tenths < 100 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let (seconds, minutes) = (rounded(time, 1_000), rounded(time, 60_000));
    match (seconds, minutes) {
        (0..60, _) => format!("{seconds}s"),
        (60..3_600, _) => format!("{}m{:02}s", seconds / 60, seconds % 60),
        (_, ..1_440) => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => {
            let hours = rounded(time, 3_600_000);
            format!("{}d{:02}h", hours / 24, hours % 24)
        }
    }
}

/// A duration in units of `unit` milliseconds, rounded to the nearest.
fn rounded(time: Duration, unit: u128) -> u128 {
    (time.as_millis() + unit / 2) / unit
}

/// A count with about three digits, in powers of 1000: `950`, `8.1k`, `81.2k`, `812k`, `1.2M`, `2.0B`.
pub fn count(number: u64) -> String {
    scaled(number, 1_000.0, &["", "k", "M", "B", "T", "P", "E"])
}

/// A size in bytes with about three digits, in powers of 1024: `950 B`, `1.5 KiB`, `117 MiB`.
pub fn bytes(number: u64) -> String {
    scaled(number, 1_024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A number with at most six significant digits and no trailing zeros: `9804`, `5.4322`, `0.00025`, `1e-5`.
pub fn number(value: f64) -> String {
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    match short.abs() {
        0.0 => "0".to_owned(),
        size if (1e-4..1e15).contains(&size) => format!("{short}"),
        _ => format!("{short:e}"),
    }
}

/// Breaks a text into lines of at most `width` characters. A longer word gets a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The number in the first unit in which it rounds to less than `base`. Numbers below 100 have one decimal, except in the
/// first unit.
fn scaled(number: u64, base: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (number as f64, 0);
    while value.round() >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && (value * 10.0).round() < 1_000.0);
    format!("{value:.decimals$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        let text = |milliseconds| duration(Duration::from_millis(milliseconds));
        assert_eq!([0, 400, 9_949, 9_950, 12_000].map(text), ["0.0s", "0.4s", "9.9s", "10s", "12s"]);
        assert_eq!([59_499, 59_500, 64_000, 3_599_499].map(text), ["59s", "1m00s", "1m04s", "59m59s"]);
        assert_eq!([3_599_500, 7_500_000, 86_369_000].map(text), ["1h00m", "2h05m", "23h59m"]);
        assert_eq!([86_370_000, 273_600_000].map(text), ["1d00h", "3d04h"]);
    }

    #[test]
    fn lines_are_not_longer_than_the_width() {
        assert_eq!(wrapped("a bc def ghij", 6), ["a bc", "def", "ghij"]);
        assert_eq!(wrapped("abcdefgh i", 4), ["abcdefgh", "i"]);
        let note = "all of these words ".repeat(30).trim().to_owned();
        let lines = wrapped(&note, 150);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 150), "{lines:?}");
        assert_eq!(lines.join(" "), note, "no word is lost");
    }

    #[test]
    fn counts_have_about_three_digits() {
        assert_eq!([0, 950, 999, 1_000, 8_149].map(count), ["0", "950", "999", "1.0k", "8.1k"]);
        assert_eq!([99_949, 99_950, 812_345, 999_499].map(count), ["99.9k", "100k", "812k", "999k"]);
        assert_eq!([999_500, 1_234_567, 2_000_000_000].map(count), ["1.0M", "1.2M", "2.0B"]);
        assert_eq!(count(u64::MAX), "18.4E");
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(
            [0, 1_023, 1_024, 1_536, 122_683_392].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "117 MiB"]
        );
    }

    #[test]
    fn numbers_have_at_most_six_significant_digits() {
        assert_eq!([9804.0, 0.0, -3.0, 1e-5, 0.00025].map(number), ["9804", "0", "-3", "1e-5", "0.00025"]);
        assert_eq!([5.4321987, 0.1, 123456.75, 1e300].map(number), ["5.4322", "0.1", "123457", "1e300"]);
        assert_eq!([f64::NAN, f64::INFINITY].map(number), ["NaN", "inf"]);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 140_231_872].map(grouped), ["0", "999", "1,000", "140,231,872"]);
    }

    proptest! {
        #[test]
        fn grouping_only_adds_commas(number: u64) {
            prop_assert_eq!(grouped(number).replace(',', ""), number.to_string());
        }

        #[test]
        fn counts_fit_a_column_of_five(number: u64) {
            prop_assert!(count(number).len() <= 5);
        }

        #[test]
        fn durations_fit_a_column_of_six(seconds in 0..8_600_000_u64) {
            prop_assert!(duration(Duration::from_secs(seconds)).len() <= 6);
        }
    }
}
