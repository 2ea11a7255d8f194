//! One view of a stream as MP4, for players that show whatever they get.

use std::sync::Arc;

use super::attempts::Pending;
use crate::base::error::Error;
use crate::output::live_socket::backlog::Acknowledged;
use crate::output::live_socket::feed::{LiveFeed, Outgoing, Past};
use crate::output::live_socket::plain::PlainPlayer;
use crate::output::live_socket::protocol::{MessageFormat, Watch};
use crate::service::core::Core;
use crate::service::live::LiveView;
use crate::stream::playable::PlayableErrors;

/// A stream as MP4.
pub(super) struct Mp4 {
    feed: LiveFeed,
    errors: PlayableErrors,
    /// Resolves with the reason when the view must end. Owns the view.
    end: Pending<Error>,
}

impl Mp4 {
    /// Creates MP4 with video and audio in some of these codecs. `max_burst` is the largest number of bytes that the player
    /// takes at once. Continues what the player has got in the `past`.
    pub(super) fn new(
        core: &Arc<Core>,
        view: LiveView,
        codecs: &[String],
        max_burst: usize,
        past: Option<Past>,
    ) -> Self {
        let media = &view.stream().shared().media;
        let watch = Watch { format: MessageFormat::Mp4, codecs: codecs.to_vec(), audio: true };
        let counters = core.registry.resources().counters.clone();
        let feed = LiveFeed::new(media, &watch, Acknowledged::default(), counters)
            .for_plain_player(PlainPlayer { max_burst });
        let feed = match past {
            Some(past) => feed.continuing(past),
            None => feed,
        };
        let (errors, core) = (media.errors(), Arc::clone(core));
        Self { feed, errors, end: Box::pin(async move { view.end(&core).await }) }
    }

    /// Returns the next message. Error: the view has ended, or the player cannot play the video. Can be cancelled and called
    /// again without losing a message.
    pub(super) async fn next(&mut self) -> Result<Outgoing, Error> {
        tokio::select! {
            biased;
            error = &mut self.end => Err(error),
            next = self.feed.next() => match next {
                // The view ends as well, and knows the reason.
                Ok(None) => Err((&mut self.end).await),
                Ok(Some(message)) => Ok(message),
                Err(error) => Err(error),
            },
            error = self.errors.refusal() => Err(error),
        }
    }

    /// Drops frames that become too old, until the view must end, and returns the reason. Must run while a message is being
    /// sent.
    pub(super) async fn discard_late(&mut self) -> Error {
        tokio::select! {
            error = &mut self.end => error,
            never = self.feed.discard_late() => match never {},
        }
    }

    /// Leaves the stream. Returns what the player has got.
    pub(super) fn into_past(self) -> Past {
        self.feed.into_past()
    }
}
