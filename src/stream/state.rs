//! The life of a stream as a pure table: state and event in, next state and action out.
//!
//! ```text
//!             ┌────────────── timer, start ──────────────┐
//! start ─> Starting ── playable ──> Live ── ended ──> Backoff
//!           │    │ └──── ended ───────┼─────────────────┘ │
//!           │    └─ replaced ─┐       │ stalled, replaced │ stop, idle, shutdown
//!           │ refused,        ▼       ▼                   ▼
//!           │ start_timeout  Stopping(Retry) ── ended ─> (Backoff, or Starting)
//!           ├──────────────> Stopping(Fail) ─── ended ─> Failed
//!           └─ stop, idle ─> Stopping(End) ──── ended ─> Gone
//! ```
//!
//! Nothing here waits, sends or knows of tasks: what an action means is the supervisor's.

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// FFmpeg runs; nothing is playable yet.
    Starting,
    /// A player can play it.
    Live,
    /// No FFmpeg; the next one starts when the timer ends.
    Backoff,
    /// FFmpeg was told to leave.
    Stopping(After),
    /// The camera refused. Stays for a while so that the cause can be asked for.
    Failed,
    /// The end: the supervisor removes the directory and itself.
    Gone,
}

/// What comes after a child that was told to leave has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum After {
    /// The next generation, after a delay.
    Retry,
    /// The next generation at once: the source was replaced.
    Replace,
    /// Failed.
    Fail,
    /// Gone.
    End,
}

/// What happens to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody wants the stream.
    Start,
    /// Somebody wants the stream from another source.
    Replace,
    /// The first segment of this generation is in the playlist.
    Playable,
    /// The packager cannot write.
    StorageFailed,
    /// The child is reaped; another plan may do better.
    EndedReplan,
    /// The child is reaped, and the camera said no.
    EndedRefused,
    /// The child is reaped, for any other cause.
    Ended,
    /// Starting, with all its attempts, has taken `start_timeout`.
    StartTimedOut,
    /// Live without a fragment for `stale_timeout`.
    Stalled,
    /// The back-off timer or the grace period has ended.
    TimedOut,
    /// Stop, idle, or shutdown.
    End,
}

/// What else the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    /// Some generation was live since the last start from nothing: viewers may be watching.
    pub was_live: bool,
    /// Somebody watches or waits.
    pub is_wanted: bool,
}

/// What the supervisor has to do on a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing.
    None,
    /// Spawn the next generation.
    Spawn,
    /// Set the back-off timer; tell the waiting callers the cause if the camera refused.
    Delay,
    /// Tell the waiting callers that the stream is playable.
    Announce,
    /// Tell the waiting callers the cause.
    Refuse,
    /// SIGTERM, and the grace timer.
    Terminate,
    /// SIGTERM, and tell the waiting callers the cause.
    TerminateAndRefuse,
    /// SIGKILL.
    Kill,
}

/// The table. Total: every event is allowed in every state.
pub fn next(state: State, event: Event, context: Context) -> (State, Action) {
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
        Event::EndedReplan => (State::Starting, Action::Spawn),
        Event::EndedRefused if !context.was_live => (State::Failed, Action::Refuse),
        Event::EndedRefused | Event::Ended => dropped(context),
        Event::StartTimedOut if context.was_live => {
            (State::Stopping(After::Retry), Action::TerminateAndRefuse)
        }
        Event::StartTimedOut | Event::StorageFailed => {
            (State::Stopping(After::Fail), Action::TerminateAndRefuse)
        }
        Event::End => (State::Stopping(After::End), Action::Terminate),
        Event::Start | Event::Stalled | Event::TimedOut => (State::Starting, Action::None),
    }
}

fn live(event: Event, context: Context) -> (State, Action) {
    match event {
        Event::Start => (State::Live, Action::Announce),
        Event::Replace => (State::Stopping(After::Replace), Action::Terminate),
        Event::Stalled => (State::Stopping(After::Retry), Action::Terminate),
        Event::EndedReplan | Event::EndedRefused | Event::Ended => dropped(context),
        Event::End => (State::Stopping(After::End), Action::Terminate),
        // The packager tries again by itself with the next keyframe.
        Event::StorageFailed | Event::Playable | Event::StartTimedOut | Event::TimedOut => {
            (State::Live, Action::None)
        }
    }
}

fn backoff(event: Event, context: Context) -> (State, Action) {
    match event {
        Event::Start | Event::Replace | Event::TimedOut => (State::Starting, Action::Spawn),
        Event::StartTimedOut if !context.was_live => (State::Failed, Action::Refuse),
        Event::End => (State::Gone, Action::None),
        _ => (State::Backoff, Action::None),
    }
}

fn stopping(after: After, event: Event, context: Context) -> (State, Action) {
    match (event, after) {
        (Event::TimedOut, _) => (State::Stopping(after), Action::Kill),
        (Event::End, _) => (State::Stopping(After::End), Action::None),
        (Event::Replace, After::Retry | After::Fail) => {
            (State::Stopping(After::Replace), Action::None)
        }
        (Event::EndedReplan | Event::EndedRefused | Event::Ended, _) => match after {
            After::Retry => dropped(context),
            After::Replace => (State::Starting, Action::Spawn),
            After::Fail => (State::Failed, Action::Refuse),
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

/// The child has gone though nobody asked it to, or to be started again.
fn dropped(context: Context) -> (State, Action) {
    if context.is_wanted { (State::Backoff, Action::Delay) } else { (State::Gone, Action::None) }
}
