//! Whether the network between the manager and a viewer is fast enough for the video.

/// The share of packets whose loss shows that the network is too slow. Bad but fast networks lose up to 5 %.
const MAX_LOSS: f32 = 0.1;
/// The number of reports in a row that must show such a loss. There is a report every second.
const REPORTS: u32 = 3;

/// What is known about the capacity of the network.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// The number of reports in a row with a high loss.
    lossy_reports: u32,
    is_short: bool,
}

impl Capacity {
    /// Notes the share of packets that were lost in the last second; `None` if the viewer has not reported it.
    pub(super) fn note_loss(&mut self, loss: Option<f32>) {
        match loss {
            Some(loss) if loss > MAX_LOSS => self.lossy_reports += 1,
            Some(_) => self.lossy_reports = 0,
            None => {}
        }
        self.is_short |= self.lossy_reports >= REPORTS;
    }

    /// Notes that frames were skipped because a connection was too slow.
    pub(super) fn note_skip(&mut self) {
        self.is_short = true;
    }

    /// Returns whether the network has turned out to be too slow since the last call.
    pub(super) fn take_shortage(&mut self) -> bool {
        let is_short = std::mem::take(&mut self.is_short);
        if is_short {
            self.lossy_reports = 0;
        }
        is_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_that_lasts_shows_that_the_network_is_too_slow() {
        let mut capacity = Capacity::default();
        for loss in [Some(0.5), Some(0.3), Some(0.05), Some(0.2), None, Some(0.2)] {
            capacity.note_loss(loss);
            assert!(!capacity.take_shortage(), "{loss:?}");
        }
        capacity.note_loss(Some(0.2));
        assert!(capacity.take_shortage());
        assert!(!capacity.take_shortage(), "reported once");
        capacity.note_skip();
        assert!(capacity.take_shortage());
    }
}
