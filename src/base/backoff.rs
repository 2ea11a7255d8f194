//! Delays between attempts: exponential with jitter, so that operations that failed at the same time
//! are not all retried at the same time.

use std::time::Duration;

/// Delays whose upper bound doubles with every failure, up to a ceiling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exponential {
    /// The upper bound of the delay after the first failure.
    pub(crate) first: Duration,
    /// The upper bound of every delay.
    pub(crate) ceiling: Duration,
}

impl Exponential {
    /// Returns a random delay after a failure. `earlier` is the number of failures before this one.
    pub(crate) fn delay(self, earlier: u32) -> Duration {
        let nominal = self.first.saturating_mul(2_u32.saturating_pow(earlier));
        jittered(nominal.min(self.ceiling))
    }
}

/// Returns a random delay between half of `nominal` and `nominal`.
pub(crate) fn jittered(nominal: Duration) -> Duration {
    nominal.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Exponential =
        Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(15) };

    #[test]
    fn delays_double_up_to_the_ceiling() {
        for (earlier, nominal) in [1, 2, 4, 8, 15, 15].into_iter().enumerate() {
            let nominal = Duration::from_secs(nominal);
            let delay = DELAYS.delay(u32::try_from(earlier).expect("few"));
            assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} of {nominal:?}");
        }
    }

    #[test]
    fn delays_never_overflow() {
        assert!(DELAYS.delay(u32::MAX) <= DELAYS.ceiling);
    }
}
