//! Tests of the start of a running stream: the caller joins the stream unless the camera has
//! changed.

use std::time::Duration;

use super::*;
use crate::access::credentials::Credentials;
use crate::camera::options::{AudioOption, StreamOptions};
use crate::camera::origin::Origin;
use crate::output::hls::sweep;
use crate::service::camera_change::{CameraChange, SourceChange};
use crate::service::cameras;
use crate::service::testing::{Setup, finder};
use crate::service::watching;

const KEYS: &str = "boss:admin:boss-secret-0001,anna:user:anna-secret-0001,\
                    ben:user:ben-secret-00001";
const BOSS: &str = "boss-secret-0001";
const ANNA: &str = "anna-secret-0001";
const BEN: &str = "ben-secret-00001";

impl Setup {
    fn caller(&self, key: &str) -> Caller {
        let shown = Credentials { api_key: Some(key), ..Credentials::default() };
        self.core.access.caller(&shown).expect("a key")
    }

    /// Sends a start with a link, as back ends do with every view of a page.
    async fn start(&self, key: &str, link: &str) -> Result<StartOutcome, Error> {
        self.start_with(key, link, OptionChanges::default()).await
    }

    async fn start_with(
        &self,
        key: &str,
        link: &str,
        changes: OptionChanges,
    ) -> Result<StartOutcome, Error> {
        let source = Some(Source::parse(link).expect("a link"));
        let request =
            StartRequest { id: id(), source, changes, output: WantedOutput::Hls, wait: true };
        start(&self.core, &self.caller(key), request).await
    }

    async fn start_known(&self, key: &str) -> Result<StartOutcome, Error> {
        start_known(&self.core, &self.caller(key), &id(), WantedOutput::Hls, true).await
    }

    async fn put(&self, link: &str, owner: &str) {
        let source = Source::parse(link).expect("a link");
        let camera = CameraChange {
            owner: Some(owner.to_owned()),
            source: SourceChange::Links { main: Some(source), sub: None },
            options: StreamOptions::default(),
            ..CameraChange::default()
        };
        let caller = self.caller(BOSS);
        cameras::put(&self.core, &finder(), &caller, id().camera(), camera)
            .await
            .expect("a camera");
    }
}

fn id() -> StreamId {
    StreamId::parse("cam").expect("an id")
}

/// Waits until the last request for the stream was at least 500 ms ago. Returns the time since that
/// request.
async fn wait_until_idle(handle: &StreamHandle) -> Duration {
    let enough = Duration::from_millis(500);
    while handle.idle_for() < enough {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle.idle_for()
}

fn kind(result: Result<StartOutcome, Error>) -> ErrorKind {
    result.expect_err("a refusal").kind
}

#[tokio::test]
async fn a_live_stream_is_joined() {
    let setup = Setup::new(KEYS).await;
    let link = "rtsp://u:secret@cam/a";
    assert_eq!(setup.start(ANNA, link).await, Ok(StartOutcome::Started));
    let handle = setup.core.registry.get(&id()).expect("a stream");
    let was_idle = wait_until_idle(&handle).await;
    for _ in 0..3 {
        assert_eq!(setup.start(ANNA, link).await, Ok(StartOutcome::Active));
        assert_eq!(setup.start_known(ANNA).await, Ok(StartOutcome::Active));
    }
    assert!(handle.idle_for() < was_idle, "a start counts as a request for the stream");
    assert_eq!(setup.opened(), ["rtsp://***@cam/a"]);
}

#[tokio::test]
async fn a_changed_link_or_option_takes_effect_with_the_next_start() {
    let setup = Setup::new(KEYS).await;
    assert_eq!(setup.start(BOSS, "rtsp://cam/a").await, Ok(StartOutcome::Started));
    assert_eq!(setup.start(BOSS, "rtsp://cam/b").await, Ok(StartOutcome::Started));
    assert_eq!(setup.start(BOSS, "rtsp://cam/b").await, Ok(StartOutcome::Active));
    let silent = OptionChanges { audio: Some(AudioOption::Off), ..OptionChanges::default() };
    assert_eq!(setup.start_with(BOSS, "rtsp://cam/b", silent).await, Ok(StartOutcome::Started));
    // Options that a start leaves out do not change.
    assert_eq!(setup.start(BOSS, "rtsp://cam/b").await, Ok(StartOutcome::Active));
    // The changed link was tried before the stream switched to it.
    assert_eq!(setup.opened(), ["rtsp://cam/a", "rtsp://cam/b", "rtsp://cam/b", "rtsp://cam/b"]);
    setup.put("rtsp://cam/c", "anna").await;
    // The running stream switches to the new source in the background. The start waits until the stream
    // has switched, or joins it afterwards.
    setup.start_known(BOSS).await.expect("a stream");
    assert_eq!(setup.opened().last().map(String::as_str), Some("rtsp://cam/c"));
}

#[tokio::test]
async fn a_link_that_does_not_work_replaces_neither_a_live_stream_nor_its_link() {
    let setup = Setup::new(KEYS).await;
    let good = "rtsp://cam/a";
    assert_eq!(setup.start(ANNA, good).await, Ok(StartOutcome::Started));
    let handle = setup.core.registry.get(&id()).expect("a stream");
    let before = handle.status();
    let error = setup.start(ANNA, "rtsp://cam/wrong").await.expect_err("a wrong link");
    assert_eq!(error.kind, ErrorKind::SourceNotFound);
    assert!(error.detail.contains("previous link"), "{error}");
    let after = handle.status();
    assert_eq!((after.state, after.epoch), (before.state, before.epoch));
    let record = setup.core.cameras.get(id().camera()).await.expect("a store").expect("a camera");
    assert_eq!(record.spec.first().expose(), good);
    assert_eq!(setup.start(ANNA, good).await, Ok(StartOutcome::Active));
    // Users without permission cause no trial.
    assert_eq!(kind(setup.start(BEN, "rtsp://cam/b").await), ErrorKind::Forbidden);
    assert_eq!(setup.opened(), [good, "rtsp://cam/wrong"]);
}

#[tokio::test]
async fn the_deletion_of_a_camera_ends_its_stream_and_refuses_further_starts() {
    let setup = Setup::new(KEYS).await;
    assert_eq!(setup.start(BOSS, "rtsp://cam/a").await, Ok(StartOutcome::Started));
    assert_eq!(setup.start_known(BOSS).await, Ok(StartOutcome::Active));
    cameras::delete(&setup.core, &setup.caller(BOSS), id().camera(), false)
        .await
        .expect("a camera");
    assert!(setup.core.registry.get(&id()).is_none());
    assert_eq!(kind(setup.start_known(BOSS).await), ErrorKind::UnknownCamera);
}

#[tokio::test]
async fn a_change_of_owner_takes_effect_with_the_next_start() {
    let setup = Setup::new(KEYS).await;
    let link = "rtsp://cam/a";
    assert_eq!(setup.start(ANNA, link).await, Ok(StartOutcome::Started));
    assert_eq!(kind(setup.start(BEN, link).await), ErrorKind::Forbidden);
    assert_eq!(kind(setup.start_known(BEN).await), ErrorKind::Forbidden);
    setup.put(link, "ben").await;
    assert_eq!(setup.start_known(BEN).await, Ok(StartOutcome::Active));
    assert_eq!(kind(setup.start_known(ANNA).await), ErrorKind::Forbidden);
    assert_eq!(kind(setup.start(ANNA, link).await), ErrorKind::Forbidden);
}

/// A viewer who can watch the camera must not get files of an earlier camera with the same id.
#[tokio::test]
async fn files_of_another_origin_cannot_be_fetched() {
    let setup = Setup::new(KEYS).await;
    setup.put("rtsp://cam/a", "anna").await;
    let core = &setup.core;
    let allow = || {
        let shown = Credentials { api_key: Some(BOSS), ..Credentials::default() };
        let visitor = watching::Visitor { shown, player: "" };
        async move { watching::allow_file(core, &id(), visitor).await }
    };
    let camera = core.cameras.camera_of(&id()).await.expect("a store").expect("a camera");
    let keep = |origin| core.hls.keep(vec![sweep::testing::left(id(), origin)]);
    keep(camera.origin);
    allow().await.expect("files of this camera");
    assert_eq!(core.hls.left_origin(&id()), Some(camera.origin));

    keep(Origin::from_digest(&[9; 32]));
    assert_eq!(allow().await.expect_err("a refusal").kind, ErrorKind::Forbidden);
    assert_eq!(core.hls.left_origin(&id()), None, "the files were not removed");

    keep(camera.origin);
    core.cameras.delete(id().camera(), |_| Ok(())).await.expect("a store");
    assert_eq!(allow().await.expect_err("a refusal").kind, ErrorKind::Forbidden);
    assert_eq!(core.hls.left_origin(&id()), None, "the files were not removed");
    allow().await.expect("an unknown camera without files");
}
