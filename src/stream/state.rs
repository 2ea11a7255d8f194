//! The table of states: a pure function from a state and an event to the next state and an action.
//!
//! `docs/design/stream-lifecycle.md` draws and explains the states. `TABLE` in the tests below lists
//! every transition.
//!
//! Nothing here waits, sends or depends on tasks. The supervisor carries out the actions.

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// The ingest runs, or waits for a start slot; nothing is playable yet.
    Starting,
    /// The current epoch is playable: its output is playable, or its first keyframe has arrived. The keyframe is
    /// enough if the output does not run, if the stream is kept, or if a caller wants the stream without the output.
    Live,
    /// No ingest runs; the next one starts when the timer ends.
    Backoff,
    /// The ingest was requested to end, but has not ended yet.
    Stopping(After),
    /// The start failed. The stream stays for a while, so that clients can read the cause.
    Failed,
    /// The stream has ended: the supervisor removes the stream's name, and ends. The output keeps the files with which
    /// the playlist can continue.
    Gone,
}

impl State {
    /// Returns whether the ingest runs in this state, or will start again.
    pub(crate) fn is_active(self) -> bool {
        !matches!(self, Self::Failed | Self::Gone)
    }
}

/// The state that follows [`State::Stopping`] when the ingest has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum After {
    /// `Backoff` if the stream is wanted, otherwise `Gone`.
    Retry,
    /// `Starting`, without a delay: a caller requested another source, or a new start.
    Replace,
    /// `Failed`.
    Fail,
    /// `Gone`.
    End,
}

/// An event in the life of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A caller requests the stream.
    Start,
    /// A caller requests the stream with another source or other options.
    Replace,
    /// A queued start has been granted its slot.
    SlotGranted,
    /// A queued start has been granted its slot, but all callers who waited for it have left.
    Abandoned,
    /// The current epoch has become playable.
    Playable,
    /// The output cannot serve what the ingest delivers, for example because the disk is full or the video
    /// cannot be converted, and the stream is neither kept nor wanted without the output.
    OutputFailed,
    /// The child has been reaped, and another plan may work better.
    EndedReplan,
    /// The child has been reaped. Another plan might work better, but the limit of plans has been reached.
    Exhausted,
    /// The ingest has ended, because the camera refused the request or the machine could not run FFmpeg. An
    /// immediate retry would fail in the same way.
    EndedRefused,
    /// The ingest has ended for another reason, or because a stop was requested.
    Ended,
    /// A start has taken `start_timeout`, but the camera sends frames. Only a keyframe is missing.
    KeyframeLate,
    /// A start with all its attempts has taken `start_timeout`, or has waited too long for a slot.
    StartTimedOut,
    /// The picture of a live stream has not advanced for `stale_timeout`.
    Stalled,
    /// The back-off timer or the grace period has ended.
    TimedOut,
    /// The stream is stopped or idle, or the manager shuts down. Or the task of the stream's output failed, and
    /// the stream is neither kept nor wanted without the output.
    End,
}

/// The facts on which a transition depends in addition to state and event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Context {
    /// True if a failed start is retried: the stream is kept, or an epoch of the stream has been live, so that
    /// the stream may have viewers.
    pub(crate) is_retried: bool,
    /// True if the stream is kept, or if viewers or waiting callers use the stream or used it a short time ago.
    pub(crate) is_wanted: bool,
}

/// The action that the supervisor carries out on a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Nothing.
    None,
    /// Begin the next epoch: start its ingest, or queue it if no start slot is free.
    Spawn,
    /// Start the ingest of the queued epoch, which now has its start slot.
    Launch,
    /// Set the back-off timer. If the camera refused or the plans are exhausted, report the error to
    /// the waiting callers.
    Delay,
    /// Report to the waiting callers that the stream is playable.
    Announce,
    /// Report to the waiting callers that the stream continues to start, and why it takes so long.
    AnnounceDelay,
    /// Report the error to the waiting callers.
    Refuse,
    /// Request that the ingest ends, and set the grace timer.
    Terminate,
    /// `Terminate` and `Refuse`.
    TerminateAndRefuse,
    /// Kill the ingest's processes, and set the grace timer again.
    Kill,
}

/// Returns the next state and the action. Accepts every event in every state.
pub(crate) fn next(state: State, event: Event, context: Context) -> (State, Action) {
    match state {
        State::Starting => starting(event, context),
        State::Live => live(event, context),
        State::Backoff => backoff(event, context),
        State::Stopping(after) => stopping(after, event, context),
        State::Failed => failed(event),
        State::Gone => (State::Gone, Action::None),
    }
}

fn starting(event: Event, context: Context) -> (State, Action) {
    match event {
        Event::Playable => (State::Live, Action::Announce),
        Event::Replace => (State::Stopping(After::Replace), Action::Terminate),
        Event::Abandoned if !context.is_retried => (State::Stopping(After::End), Action::Terminate),
        // A start that is retried does not depend on callers.
        Event::SlotGranted | Event::Abandoned => (State::Starting, Action::Launch),
        Event::EndedReplan => (State::Starting, Action::Spawn),
        Event::EndedRefused | Event::Exhausted if !context.is_retried => {
            (State::Failed, Action::Refuse)
        }
        Event::EndedRefused | Event::Exhausted | Event::Ended => dropped(context),
        Event::StartTimedOut | Event::OutputFailed if context.is_retried => {
            (State::Stopping(After::Retry), Action::TerminateAndRefuse)
        }
        Event::StartTimedOut | Event::OutputFailed => {
            (State::Stopping(After::Fail), Action::TerminateAndRefuse)
        }
        Event::KeyframeLate => (State::Starting, Action::AnnounceDelay),
        Event::End => (State::Stopping(After::End), Action::Terminate),
        Event::Start | Event::Stalled | Event::TimedOut => (State::Starting, Action::None),
    }
}

fn live(event: Event, context: Context) -> (State, Action) {
    match event {
        Event::Start => (State::Live, Action::Announce),
        Event::Replace => (State::Stopping(After::Replace), Action::Terminate),
        Event::Stalled => (State::Stopping(After::Retry), Action::Terminate),
        Event::EndedReplan | Event::Exhausted | Event::EndedRefused | Event::Ended => {
            dropped(context)
        }
        Event::End => (State::Stopping(After::End), Action::Terminate),
        // An output that failed tries again with the next keyframe.
        Event::OutputFailed
        | Event::Playable
        | Event::SlotGranted
        | Event::Abandoned
        | Event::KeyframeLate
        | Event::StartTimedOut
        | Event::TimedOut => (State::Live, Action::None),
    }
}

fn backoff(event: Event, context: Context) -> (State, Action) {
    match event {
        // During a first start, callers wait for the scheduled attempt, because their requests must not make
        // attempts more frequent.
        Event::Start if !context.is_retried => (State::Backoff, Action::None),
        Event::Start | Event::Replace | Event::TimedOut => (State::Starting, Action::Spawn),
        Event::StartTimedOut if !context.is_retried => (State::Failed, Action::Refuse),
        Event::End => (State::Gone, Action::None),
        _ => (State::Backoff, Action::None),
    }
}

fn stopping(after: After, event: Event, context: Context) -> (State, Action) {
    match (event, after) {
        (Event::TimedOut, _) => (State::Stopping(after), Action::Kill),
        (Event::End, _) => (State::Stopping(After::End), Action::None),
        (Event::Replace, After::Retry | After::Fail) | (Event::Start, After::Fail) => {
            (State::Stopping(After::Replace), Action::None)
        }
        (event, _) if is_end(event) => match after {
            After::Retry => dropped(context),
            After::Replace => (State::Starting, Action::Spawn),
            After::Fail => (State::Failed, Action::None),
            After::End => (State::Gone, Action::None),
        },
        _ => (State::Stopping(after), Action::None),
    }
}

fn failed(event: Event) -> (State, Action) {
    match event {
        Event::Start | Event::Replace => (State::Starting, Action::Spawn),
        Event::End => (State::Gone, Action::None),
        _ => (State::Failed, Action::None),
    }
}

/// Returns the transition after an ingest that ended unexpectedly, or that was requested to end for a retry.
fn dropped(context: Context) -> (State, Action) {
    if context.is_wanted { (State::Backoff, Action::Delay) } else { (State::Gone, Action::None) }
}

/// Returns whether `event` means that the child has been reaped.
fn is_end(event: Event) -> bool {
    matches!(event, Event::Ended | Event::EndedRefused | Event::EndedReplan | Event::Exhausted)
}

#[cfg(test)]
mod tests {
    use super::Action as A;
    use super::After::{End, Fail, Replace, Retry};
    use super::Event as E;
    use super::State::{Backoff, Failed, Gone, Live, Starting, Stopping};
    use super::*;

    const STATES: [State; 9] = [
        Starting,
        Live,
        Backoff,
        Stopping(Retry),
        Stopping(Replace),
        Stopping(Fail),
        Stopping(End),
        Failed,
        Gone,
    ];
    const EVENTS: [Event; 15] = [
        E::Start,
        E::Replace,
        E::SlotGranted,
        E::Abandoned,
        E::Playable,
        E::OutputFailed,
        E::EndedReplan,
        E::Exhausted,
        E::EndedRefused,
        E::Ended,
        E::KeyframeLate,
        E::StartTimedOut,
        E::Stalled,
        E::TimedOut,
        E::End,
    ];

    /// The contexts in which a row holds.
    type When = fn(Context) -> bool;
    const ALWAYS: When = |_| true;
    const NEW: When = |context| !context.is_retried;
    const AGAIN: When = |context| context.is_retried;
    const WANTED: When = |context| context.is_wanted;
    const UNWANTED: When = |context| !context.is_wanted;
    const AGAIN_WANTED: When = |context| context.is_retried && context.is_wanted;
    const AGAIN_UNWANTED: When = |context| context.is_retried && !context.is_wanted;

    /// Every transition. An event that is not listed for a state leaves the state unchanged, without an
    /// action.
    const TABLE: &[(State, Event, When, State, Action)] = &[
        (Starting, E::Replace, ALWAYS, Stopping(Replace), A::Terminate),
        (Starting, E::SlotGranted, ALWAYS, Starting, A::Launch),
        (Starting, E::Abandoned, NEW, Stopping(End), A::Terminate),
        (Starting, E::Abandoned, AGAIN, Starting, A::Launch),
        (Starting, E::Playable, ALWAYS, Live, A::Announce),
        (Starting, E::OutputFailed, NEW, Stopping(Fail), A::TerminateAndRefuse),
        (Starting, E::OutputFailed, AGAIN, Stopping(Retry), A::TerminateAndRefuse),
        (Starting, E::EndedReplan, ALWAYS, Starting, A::Spawn),
        (Starting, E::Exhausted, NEW, Failed, A::Refuse),
        (Starting, E::Exhausted, AGAIN_WANTED, Backoff, A::Delay),
        (Starting, E::Exhausted, AGAIN_UNWANTED, Gone, A::None),
        (Starting, E::EndedRefused, NEW, Failed, A::Refuse),
        (Starting, E::EndedRefused, AGAIN_WANTED, Backoff, A::Delay),
        (Starting, E::EndedRefused, AGAIN_UNWANTED, Gone, A::None),
        (Starting, E::Ended, WANTED, Backoff, A::Delay),
        (Starting, E::Ended, UNWANTED, Gone, A::None),
        (Starting, E::KeyframeLate, ALWAYS, Starting, A::AnnounceDelay),
        (Starting, E::StartTimedOut, NEW, Stopping(Fail), A::TerminateAndRefuse),
        (Starting, E::StartTimedOut, AGAIN, Stopping(Retry), A::TerminateAndRefuse),
        (Starting, E::End, ALWAYS, Stopping(End), A::Terminate),
        (Live, E::Start, ALWAYS, Live, A::Announce),
        (Live, E::Replace, ALWAYS, Stopping(Replace), A::Terminate),
        (Live, E::EndedReplan, WANTED, Backoff, A::Delay),
        (Live, E::EndedReplan, UNWANTED, Gone, A::None),
        (Live, E::Exhausted, WANTED, Backoff, A::Delay),
        (Live, E::Exhausted, UNWANTED, Gone, A::None),
        (Live, E::EndedRefused, WANTED, Backoff, A::Delay),
        (Live, E::EndedRefused, UNWANTED, Gone, A::None),
        (Live, E::Ended, WANTED, Backoff, A::Delay),
        (Live, E::Ended, UNWANTED, Gone, A::None),
        (Live, E::Stalled, ALWAYS, Stopping(Retry), A::Terminate),
        (Live, E::End, ALWAYS, Stopping(End), A::Terminate),
        (Backoff, E::Start, AGAIN, Starting, A::Spawn),
        (Backoff, E::Replace, ALWAYS, Starting, A::Spawn),
        (Backoff, E::StartTimedOut, NEW, Failed, A::Refuse),
        (Backoff, E::TimedOut, ALWAYS, Starting, A::Spawn),
        (Backoff, E::End, ALWAYS, Gone, A::None),
        (Stopping(Retry), E::Replace, ALWAYS, Stopping(Replace), A::None),
        (Stopping(Retry), E::EndedReplan, WANTED, Backoff, A::Delay),
        (Stopping(Retry), E::EndedReplan, UNWANTED, Gone, A::None),
        (Stopping(Retry), E::Exhausted, WANTED, Backoff, A::Delay),
        (Stopping(Retry), E::Exhausted, UNWANTED, Gone, A::None),
        (Stopping(Retry), E::EndedRefused, WANTED, Backoff, A::Delay),
        (Stopping(Retry), E::EndedRefused, UNWANTED, Gone, A::None),
        (Stopping(Retry), E::Ended, WANTED, Backoff, A::Delay),
        (Stopping(Retry), E::Ended, UNWANTED, Gone, A::None),
        (Stopping(Retry), E::TimedOut, ALWAYS, Stopping(Retry), A::Kill),
        (Stopping(Retry), E::End, ALWAYS, Stopping(End), A::None),
        (Stopping(Replace), E::EndedReplan, ALWAYS, Starting, A::Spawn),
        (Stopping(Replace), E::Exhausted, ALWAYS, Starting, A::Spawn),
        (Stopping(Replace), E::EndedRefused, ALWAYS, Starting, A::Spawn),
        (Stopping(Replace), E::Ended, ALWAYS, Starting, A::Spawn),
        (Stopping(Replace), E::TimedOut, ALWAYS, Stopping(Replace), A::Kill),
        (Stopping(Replace), E::End, ALWAYS, Stopping(End), A::None),
        (Stopping(Fail), E::Start, ALWAYS, Stopping(Replace), A::None),
        (Stopping(Fail), E::Replace, ALWAYS, Stopping(Replace), A::None),
        (Stopping(Fail), E::EndedReplan, ALWAYS, Failed, A::None),
        (Stopping(Fail), E::Exhausted, ALWAYS, Failed, A::None),
        (Stopping(Fail), E::EndedRefused, ALWAYS, Failed, A::None),
        (Stopping(Fail), E::Ended, ALWAYS, Failed, A::None),
        (Stopping(Fail), E::TimedOut, ALWAYS, Stopping(Fail), A::Kill),
        (Stopping(Fail), E::End, ALWAYS, Stopping(End), A::None),
        (Stopping(End), E::EndedReplan, ALWAYS, Gone, A::None),
        (Stopping(End), E::Exhausted, ALWAYS, Gone, A::None),
        (Stopping(End), E::EndedRefused, ALWAYS, Gone, A::None),
        (Stopping(End), E::Ended, ALWAYS, Gone, A::None),
        (Stopping(End), E::TimedOut, ALWAYS, Stopping(End), A::Kill),
        (Failed, E::Start, ALWAYS, Starting, A::Spawn),
        (Failed, E::Replace, ALWAYS, Starting, A::Spawn),
        (Failed, E::End, ALWAYS, Gone, A::None),
    ];

    fn contexts() -> impl Iterator<Item = Context> {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .map(|(is_retried, is_wanted)| Context { is_retried, is_wanted })
    }

    #[test]
    fn every_transition_is_as_listed() {
        for state in STATES {
            for event in EVENTS {
                for context in contexts() {
                    let mut rows = TABLE.iter().filter(|(from, on, when, _, _)| {
                        (*from, *on) == (state, event) && when(context)
                    });
                    let row = rows.next();
                    assert!(rows.next().is_none(), "two rows for {state:?} {event:?} {context:?}");
                    let expected = row.map_or((state, A::None), |row| (row.3, row.4));
                    assert_eq!(
                        next(state, event, context),
                        expected,
                        "{state:?} {event:?} {context:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_spawning_and_ending_change_whether_a_child_runs() {
        let has_child = |state| matches!(state, Starting | Live | Stopping(_));
        for state in STATES {
            for event in EVENTS {
                // A child that does not run cannot end.
                if is_end(event) && !has_child(state) {
                    continue;
                }
                for context in contexts() {
                    let (to, action) = next(state, event, context);
                    let runs_before = has_child(state) && !is_end(event);
                    let case = format!("{state:?} {event:?} {context:?} -> {to:?} {action:?}");
                    if action == A::Spawn {
                        assert!(!runs_before, "two children: {case}");
                    }
                    assert_eq!(has_child(to), runs_before || action == A::Spawn, "{case}");
                }
            }
        }
    }
}
