//! The axis of a panel.

/// The minimum distance between ticks, in pixels.
const TICK_DISTANCE: f64 = 45.0;
/// The margin at either end, as a fraction of the range of the data.
const MARGIN: f64 = 0.04;

/// A horizontal axis with ticks at round numbers.
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    step: f64,
    pub left: f64,
    pub right: f64,
}

impl Axis {
    /// An axis that contains these values and a margin at either end. The margin and `error_bar_ends` are clipped at
    /// `ends`. Ticks are at multiples of 1, 2 or 5 times a power of ten.
    pub(super) fn over(values: &[f64], error_bar_ends: &[f64], ends: (f64, f64), left: f64, right: f64) -> Self {
        let hull = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let own = hull(&mut values.iter().copied());
        // A value outside the possible range must still be visible.
        let ends = (ends.0.min(own.0), ends.1.max(own.1));
        let clamped = error_bar_ends.iter().map(|value| value.clamp(ends.0, ends.1));
        let (low, high) = match hull(&mut values.iter().copied().chain(clamped)) {
            (low, high) if !(high - low).is_finite() => (0.0, 1.0),
            (low, high) if high - low <= 1e-9 * high.abs() => (low - 0.5, high + 0.5),
            (low, high) => (low - MARGIN * (high - low), high + MARGIN * (high - low)),
        };
        let (low, high) = (low.max(ends.0), high.min(ends.1));
        let wanted = (high - low) / ((right - left) / TICK_DISTANCE).max(2.0);
        let power = 10f64.powf(wanted.log10().floor());
        let mut steps = [10.0, 5.0, 2.0, 1.0, 0.5, 0.2].into_iter().map(|one| one * power);
        let count = |step: f64| ticks(low, high, step).count();
        // The finest step that keeps the distance, or else the coarsest step with two ticks, which define the scale.
        let step = steps.clone().rfind(|step| *step >= wanted && count(*step) > 1);
        let step = step.or_else(|| steps.find(|step| count(*step) > 1)).unwrap_or(0.1 * power);
        Self { low, high, step, left, right }
    }

    /// The position of a value in pixels. A value beyond an end is placed at that end.
    pub(super) fn x(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// Whether a value is between the ends of the axis.
    pub(super) fn contains(&self, value: f64) -> bool {
        let slack = 1e-9 * (self.high - self.low);
        (self.low - slack..=self.high + slack).contains(&value)
    }

    /// The positions of the ticks.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        ticks(self.low, self.high, self.step)
    }

    /// The label of a tick, with as many decimals as the ticks need.
    pub(super) fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.decimals$}")
    }
}

/// The multiples of `step` between two values.
fn ticks(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(move |tick| tick as f64 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    fn ticks(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_the_axis_ends_at_the_data() {
        let axis = |values: &[f64], width: f64| Axis::over(values, &[], FREE, 0.0, width);
        assert_eq!(ticks(&axis(&[-1.7, 2.2], 400.0)), ["-1.5", "-1.0", "-0.5", "0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(ticks(&axis(&[49.0, 97.3], 130.0)), ["60", "80"]);
        assert_eq!(ticks(&axis(&[91.0, 98.5], 130.0)), ["92", "94", "96", "98"][..].to_vec());
        assert_eq!(ticks(&axis(&[0.031, 0.038], 100.0)), ["0.032", "0.034", "0.036", "0.038"]);
        assert_eq!(ticks(&axis(&[7.0, 7.0], 100.0)), ["6.5", "7.0", "7.5"]);
        assert!(ticks(&axis(&[], 100.0)).len() > 1);
        let axis = axis(&[90.0, 99.0], 100.0);
        assert!((axis.low - 89.64).abs() < 1e-9 && (axis.high - 99.36).abs() < 1e-9);
    }

    #[test]
    fn an_axis_of_percentages_ends_at_0_and_100() {
        let axis = Axis::over(&[60.0, 99.5], &[40.0, 120.0], (0.0, 100.0), 0.0, 200.0);
        assert_eq!((axis.high, axis.x(120.0), axis.contains(120.0)), (100.0, 200.0, false));
        assert!(axis.low < 40.0 && axis.contains(40.0));
        let axis = Axis::over(&[1.0, 3.0], &[-5.0, 3.0], (0.0, 100.0), 0.0, 200.0);
        assert_eq!(axis.low, 0.0);
        let axis = Axis::over(&[-0.5, 3.0], &[], (0.0, 100.0), 0.0, 200.0);
        assert_eq!(axis.low, -0.5, "an impossible value is not cut off");
        let axis = Axis::over(&[100.0, 100.0], &[], (0.0, 100.0), 0.0, 200.0);
        assert_eq!((axis.low, axis.high), (99.5, 100.0));
    }
}
