//! Rotary frequencies that are adapted to longer texts than those of the training.

use serde::{Deserialize, Serialize};

/// How the frequencies of rotary positions differ from the original ones (Su et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// All frequencies are divided by a factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Frequencies that depend on the length of a text once it is longer than those of the training (bloc97 and emozilla
    /// 2023). Up to that length, they are the original ones; longer texts are refused, because `transformers` computes
    /// them with the length of the longest text that it has seen.
    Dynamic {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones are not, and those between in part (Grattafiori et al. 2024).
    Llama3 {
        /// The factor.
        factor: f64,
        /// The number of periods within the original length below which a frequency is low.
        low_frequency: f64,
        /// The number of periods within the original length above which a frequency is high.
        high_frequency: f64,
        /// The length of the texts of the training.
        original_positions: u32,
    },
    /// The same by a linear ramp over the frequencies, with sharper attention (Peng et al. 2023).
    Yarn {
        /// The factor.
        factor: f64,
        /// The number that the cosines and sines are multiplied by, and thereby queries and keys.
        attention_factor: f64,
        /// The number of periods within the original length at which the ramp begins.
        beta_fast: f64,
        /// The number of periods within the original length at which the ramp ends.
        beta_slow: f64,
        /// The length of the texts of the training.
        original_positions: u32,
        /// Whether the ends of the ramp are whole numbers.
        truncate: bool,
    },
}

impl RopeScaling {
    /// The number that the cosines and sines are multiplied by.
    pub fn attention_factor(self) -> f64 {
        match self {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor,
            RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. } | RopeScaling::Llama3 { .. } => 1.0,
        }
    }

    /// The frequencies, in radians per position, given the original ones, whose number is half of the rotated width. Like
    /// `transformers`, it computes in float32.
    pub fn scale(self, frequencies: &[f32], base: f64) -> Vec<f32> {
        match self {
            RopeScaling::Linear { factor } => frequencies.iter().map(|frequency| frequency / factor as f32).collect(),
            RopeScaling::Dynamic { .. } => frequencies.to_vec(),
            RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_positions } => {
                let original = f64::from(original_positions);
                let (longest, shortest) = (original / low_frequency, original / high_frequency);
                let scaled = |&frequency: &f32| {
                    let wavelength = std::f32::consts::TAU / frequency;
                    if wavelength > longest as f32 {
                        return frequency / factor as f32;
                    }
                    if wavelength < shortest as f32 {
                        return frequency;
                    }
                    let periods = original as f32 / wavelength;
                    let smooth = (periods - low_frequency as f32) / (high_frequency - low_frequency) as f32;
                    (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
                };
                frequencies.iter().map(scaled).collect()
            }
            RopeScaling::Yarn { factor, beta_fast, beta_slow, original_positions, truncate, .. } => {
                let width = 2.0 * frequencies.len() as f64;
                let place = |periods: f64| {
                    let wavelength = f64::from(original_positions) / periods;
                    width * (wavelength / std::f64::consts::TAU).ln() / (2.0 * base.ln())
                };
                let (low, high) = match truncate {
                    true => (place(beta_fast).floor(), place(beta_slow).ceil()),
                    false => (place(beta_fast), place(beta_slow)),
                };
                let (low, high) = (low.max(0.0), high.min(width - 1.0));
                let high = if low == high { high + 0.001 } else { high };
                let scaled = |(index, &frequency): (usize, &f32)| {
                    let ramp = ((index as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                    let original = 1.0 - ramp;
                    frequency / factor as f32 * (1.0 - original) + frequency * original
                };
                frequencies.iter().enumerate().map(scaled).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(base: f64, half: usize) -> Vec<f32> {
        (0..half).map(|index| base.powf(-(index as f64) / half as f64) as f32).collect()
    }

    #[test]
    fn llama3_keeps_high_frequencies_and_divides_low_ones() {
        let kind =
            RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_positions: 8_192 };
        let frequencies = original(5e5, 64);
        let scaled = kind.scale(&frequencies, 5e5);
        assert_eq!(scaled[..29], frequencies[..29]);
        assert!(scaled[29..35].iter().zip(&frequencies[29..35]).all(|(new, old)| *new < *old && *new > old / 8.0));
        assert!(scaled[35..].iter().zip(&frequencies[35..]).all(|(new, old)| *new == old / 8.0));
    }

    #[test]
    fn yarn_ramps_from_the_original_to_the_divided_frequencies() {
        let kind = RopeScaling::Yarn {
            factor: 4.0,
            attention_factor: 1.1,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_positions: 2_048,
            truncate: true,
        };
        let frequencies = original(1e4, 32);
        let scaled = kind.scale(&frequencies, 1e4);
        // ln(2048 / (32 · 2π)) / ln(10000) · 32 = 8.06, ln(2048 / 2π) / ln(10000) · 32 = 20.1.
        assert_eq!(scaled[..9], frequencies[..9]);
        assert!((scaled[14] / frequencies[14] - (1.0 - 6.0 / 13.0 * 0.75)).abs() < 1e-6);
        assert!(scaled[21..].iter().zip(&frequencies[21..]).all(|(new, old)| *new == old / 4.0));
        assert_eq!(kind.attention_factor(), 1.1);
    }
}
