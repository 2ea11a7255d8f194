//! FFmpeg as an ingest: its arguments, its runs, and the meaning of its messages. Also takes the single pictures
//! with which cameras are tested.
//!
//! | Module | Owns |
//! |---|---|
//! | [`launcher`] | starting a run and reporting its outcome |
//! | `run` | one run: its child and its end |
//! | `pipes` | reading a run's pipes and publishing the frames |
//! | `exit` | the cause of a run's end |
//! | `silence` | detecting a track that sends nothing, if there is another |
//! | [`check`] | checking whether FFmpeg can be run |
//! | [`args`] | FFmpeg's arguments, and the script that keeps the URL out of them |
//! | [`settings`] | the settings of every run of FFmpeg that connects to a camera |
//! | [`stderr`] | collecting FFmpeg's messages, and finding facts about the camera in them |
//! | [`verdict`] | the causes of FFmpeg's end, as its messages show them |
//! | [`tracks`] | the camera's tracks, as FFmpeg prints them |
//! | `repeats` | leaving out messages that FFmpeg repeats |
//! | `login` | the reason why a camera rejects a login |
//! | `redirect` | following redirects by cameras |
//! | [`probe`] | taking one picture of a camera, to test whether the camera can be used |

pub(crate) mod args;
pub(crate) mod check;
mod exit;
pub(crate) mod launcher;
mod login;
pub(crate) mod pipes;
pub(crate) mod probe;
mod redirect;
mod repeats;
mod run;
pub(crate) mod settings;
mod silence;
pub(crate) mod stderr;
pub(crate) mod tracks;
pub(crate) mod verdict;
