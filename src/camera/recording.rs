//! The options of a camera's recording, and its schedule.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;

/// The most entries of a schedule.
const MAX_ENTRIES: usize = 50;
/// The most types of events that make a recording.
const MAX_TYPES: usize = 20;
/// The longest type of an event, in bytes.
const MAX_TYPE: usize = 80;
/// The longest time before and after an event, in seconds.
const MAX_BEFORE: u16 = 60;
const MAX_AFTER: u16 = 600;
/// The most days for which recordings are kept, as in the settings.
const MAX_KEEP_DAYS: u32 = 36_500;

/// The recording of a camera.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecordingOptions {
    /// When the camera is recorded.
    pub mode: RecordingMode,
    /// The streams that are recorded.
    pub profile: RecordedProfiles,
    /// The times of the mode `schedule`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScheduleEntry>,
    /// The IANA time zone of the schedule, such as `Europe/Berlin`. The default is UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The events of the mode `events`.
    pub events: EventTrigger,
    /// The number of days for which recordings are kept, instead of `RECORDINGS_KEEP_DAYS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// The number of days for which recordings of times with events are kept. The default is `keep_days`. Has no
    /// effect if recordings without events are kept for longer, or for an unlimited time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_event_days: Option<u32>,
    /// The largest size of the camera's recordings in bytes. If they become larger, the oldest ones are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// When a camera is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    /// Not at all.
    #[default]
    Off,
    /// Always.
    Continuous,
    /// At the times of the schedule.
    Schedule,
    /// Around events.
    Events,
}

/// The streams that are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordedProfiles {
    /// The main stream.
    #[default]
    Main,
    /// The sub stream.
    Sub,
    /// The main stream and the sub stream.
    Both,
}

impl RecordedProfiles {
    /// Returns whether a stream is among them.
    pub(crate) fn contains(self, profile: Profile) -> bool {
        matches!(
            (self, profile),
            (Self::Both, _) | (Self::Main, Profile::Main) | (Self::Sub, Profile::Sub)
        )
    }
}

/// A time on certain days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleEntry {
    /// The days. If the list is empty, all days.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// The beginning, such as `08:00`.
    pub from: String,
    /// The end, such as `18:30`, or `24:00` for midnight. If the end is not after the beginning, the time ends on the next
    /// day.
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// The events that make a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventTrigger {
    /// The types of events, such as `reported.door`, or a group of types, such as `reported`.
    pub types: Vec<String>,
    /// The seconds before an event that are recorded, at most 60. The recording begins with a keyframe, so it can be
    /// longer.
    #[schema(maximum = 60)]
    pub before_seconds: u16,
    /// The seconds after the end of an event that are recorded, at most 600.
    #[schema(maximum = 600)]
    pub after_seconds: u16,
}

impl Default for EventTrigger {
    fn default() -> Self {
        Self { types: vec!["reported".to_owned()], before_seconds: 5, after_seconds: 15 }
    }
}

impl EventTrigger {
    /// Returns whether events with this name make a recording.
    pub(crate) fn contains(&self, name: &str) -> bool {
        contain_type(&self.types, name)
    }

    /// Returns the beginning and the end of the recording of an event with the type `name`, which began at `at`, and ended at
    /// `until` if that is known; `None` if such events make no recording.
    pub(crate) fn recorded_time(
        &self,
        name: &str,
        at: SystemTime,
        until: Option<SystemTime>,
    ) -> Option<(SystemTime, SystemTime)> {
        // Otherwise, the beginning of a recording would make a recording.
        let is_wanted = self.contains(name) && !name.starts_with("recording.");
        let begin = at.checked_sub(self.before()).unwrap_or(at);
        let end = until.map_or(at, |until| until.max(at)).checked_add(self.after())?;
        is_wanted.then_some((begin, end))
    }

    /// The recorded time before an event.
    pub(crate) fn before(&self) -> Duration {
        Duration::from_secs(self.before_seconds.into())
    }

    /// The recorded time after an event.
    pub(crate) fn after(&self) -> Duration {
        Duration::from_secs(self.after_seconds.into())
    }
}

/// Returns whether a list of types and groups of types contains the type with this name, or its group.
pub(crate) fn contain_type(types: &[String], name: &str) -> bool {
    let is_of = |kind: &String| {
        name.strip_prefix(kind.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    types.iter().any(is_of)
}

impl RecordingOptions {
    /// Fails unless the options can be used.
    pub(crate) fn ensure_usable(&self) -> Result<(), Error> {
        let invalid = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
        if self.mode == RecordingMode::Schedule && self.schedule.is_empty() {
            return invalid("recording.schedule is empty; add the times of the recording".into());
        }
        let names = ("recording.schedule", "recording.time_zone");
        Schedule::new(names, &self.schedule, self.time_zone.as_deref())?;
        let EventTrigger { types, before_seconds, after_seconds } = &self.events;
        let is_type = |kind: &String| !kind.is_empty() && kind.len() <= MAX_TYPE;
        if types.len() > MAX_TYPES || !types.iter().all(is_type) {
            return invalid(format!(
                "recording.events.types must have at most {MAX_TYPES} types of at most {MAX_TYPE} characters"
            ));
        }
        if *before_seconds > MAX_BEFORE || *after_seconds > MAX_AFTER {
            return invalid(format!(
                "recording.events.before_seconds must be at most {MAX_BEFORE}, and after_seconds at most {MAX_AFTER}"
            ));
        }
        let is_kept = |days: &u32| (1..=MAX_KEEP_DAYS).contains(days);
        if ![self.keep_days, self.keep_event_days].iter().flatten().all(is_kept) {
            return invalid(format!(
                "recording.keep_days and keep_event_days must be 1 to {MAX_KEEP_DAYS}"
            ));
        }
        if self.max_bytes == Some(0) {
            return invalid(
                "recording.max_bytes must be at least 1; without the field, the size is not limited".into(),
            );
        }
        Ok(())
    }

    /// Returns the schedule in a form that is quick to evaluate.
    pub(crate) fn schedule(&self) -> Schedule {
        let zone = self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        Schedule {
            zone: zone.unwrap_or(TimeZone::UTC),
            entries: self.schedule.iter().filter_map(Times::of).collect(),
        }
    }
}

/// The schedule of a camera.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    zone: TimeZone,
    entries: Vec<Times>,
}

/// An entry of a schedule, in minutes since midnight.
#[derive(Debug, Clone)]
struct Times {
    /// True for each day of the week, from Monday on.
    days: [bool; 7],
    from: u16,
    to: u16,
}

impl Schedule {
    /// Creates a schedule of these times in a time zone; without a time zone, in UTC. `names` are the names of the field with
    /// the entries and of the field with the time zone, for errors.
    pub(crate) fn new(
        (entries_name, zone_name): (&str, &str),
        entries: &[ScheduleEntry],
        time_zone: Option<&str>,
    ) -> Result<Self, Error> {
        let invalid = |detail: String| Error::new(ErrorKind::InvalidRequest, detail);
        if entries.len() > MAX_ENTRIES {
            return Err(invalid(format!("{entries_name} must have at most {MAX_ENTRIES} entries")));
        }
        let times = |entry: &ScheduleEntry| {
            let ScheduleEntry { from, to, .. } = entry;
            Times::of(entry).ok_or_else(|| {
                invalid(format!(
                    "{entries_name} contains a time that is not valid: {from:?} to {to:?}; write times as HH:MM"
                ))
            })
        };
        let entries = entries.iter().map(times).collect::<Result<_, _>>()?;
        let zone = |name: &str| {
            TimeZone::get(name).map_err(|_| {
                invalid(format!(
                    "{zone_name} is not the name of a time zone: {name:?}; an example is Europe/Berlin"
                ))
            })
        };
        Ok(Self { zone: time_zone.map_or(Ok(TimeZone::UTC), zone)?, entries })
    }

    /// Returns whether `time` is in the schedule. Times are those of clocks in the time zone. So an entry for a time that
    /// the change to summer time leaves out has no effect on that day, and a time that occurs twice is recorded twice.
    pub(crate) fn contains(&self, time: SystemTime) -> bool {
        let Ok(timestamp) = Timestamp::try_from(time) else { return false };
        let local = Zoned::new(timestamp, self.zone.clone()).datetime();
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
        let minute = minute_of(local.time());
        self.entries.iter().any(|entry| entry.contains(day, minute))
    }
}

impl Times {
    fn of(entry: &ScheduleEntry) -> Option<Self> {
        let mut days = [entry.days.is_empty(); 7];
        for day in &entry.days {
            *days.get_mut(*day as usize)? = true;
        }
        let (from, to) = (minute(&entry.from)?, minute(&entry.to)?);
        (from < 24 * 60).then_some(Self { days, from, to })
    }

    fn contains(&self, day: usize, minute: u16) -> bool {
        let is_on = |day: usize| self.days.get(day % 7).copied().unwrap_or_default();
        if self.from < self.to {
            return is_on(day) && (self.from..self.to).contains(&minute);
        }
        is_on(day) && minute >= self.from || is_on(day + 6) && minute < self.to
    }
}

fn minute_of(time: civil::Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

/// Parses a time such as `08:00`. Returns the minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let is_usual = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_usual.then(|| text.parse::<u16>().ok()).flatten()
    };
    let minute = number(hours)? * 60 + number(minutes).filter(|minutes| *minutes < 60)?;
    (minute <= 24 * 60).then_some(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> RecordingOptions {
        serde_json::from_str(json).expect(json)
    }

    /// Returns whether the schedule contains these UTC times.
    fn contains(options: &RecordingOptions, times: &[&str]) -> Vec<bool> {
        let schedule = options.schedule();
        let at = |text: &&str| schedule.contains(humantime::parse_rfc3339(text).expect(text));
        times.iter().map(at).collect()
    }

    #[test]
    fn a_schedule_has_days_and_hours_of_a_time_zone() {
        let options = options(
            r#"{"mode": "schedule", "time_zone": "Europe/Berlin", "schedule": [
                {"days": ["mon", "fri"], "from": "08:00", "to": "18:00"},
                {"days": ["sun"], "from": "22:30", "to": "06:00"}]}"#,
        );
        options.ensure_usable().expect("options");
        // 2026-11-30 is a Monday. Berlin is an hour ahead of UTC in winter, and two in summer.
        let times = [
            "2026-11-30T06:59:59Z",
            "2026-11-30T07:00:00Z",
            "2026-11-30T16:59:59Z",
            "2026-11-30T17:00:00Z",
            "2026-12-01T09:00:00Z",
            "2026-07-06T06:00:00Z",
            "2026-11-29T21:29:00Z",
            "2026-11-29T21:30:00Z",
            "2026-11-30T04:59:59Z",
            "2026-11-30T05:00:00Z",
        ];
        let expected = [false, true, true, false, false, true, false, true, true, false];
        assert_eq!(contains(&options, &times), expected);
    }

    #[test]
    fn the_nights_in_which_clocks_change_are_recorded_as_clocks_show() {
        let night = options(
            r#"{"mode": "schedule", "time_zone": "Europe/Berlin",
                "schedule": [{"from": "02:30", "to": "03:30"}]}"#,
        );
        // Clocks go from 02:00 to 03:00 at 01:00 UTC, so only half an hour is left.
        let spring = [
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:29:59Z",
            "2026-03-29T01:30:00Z",
        ];
        assert_eq!(contains(&night, &spring), [false, true, true, false]);
        // Clocks go from 03:00 to 02:00 at 01:00 UTC, so 02:30 is twice: at 00:30 and at 01:30 UTC.
        let autumn = [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:29:59Z",
            "2026-10-25T02:30:00Z",
        ];
        assert_eq!(contains(&night, &autumn), [true, false, true, true, false]);
        let all =
            options(r#"{"mode": "schedule", "schedule": [{"from": "00:00", "to": "24:00"}]}"#);
        assert_eq!(contains(&all, &spring), [true; 4]);
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        options("{}").ensure_usable().expect("the default");
        for (json, part) in [
            (r#"{"mode": "schedule"}"#, "schedule is empty"),
            (r#"{"schedule": [{"from": "8:00", "to": "10:00"}]}"#, "HH:MM"),
            (r#"{"schedule": [{"from": "08:60", "to": "10:00"}]}"#, "HH:MM"),
            (r#"{"schedule": [{"from": "24:00", "to": "10:00"}]}"#, "HH:MM"),
            (r#"{"schedule": [{"from": "08:00", "to": "24:01"}]}"#, "HH:MM"),
            (r#"{"time_zone": "Berlin"}"#, "time_zone"),
            (r#"{"time_zone": "../etc/passwd"}"#, "time_zone"),
            (r#"{"events": {"types": [""]}}"#, "types"),
            (r#"{"events": {"before_seconds": 61}}"#, "before_seconds"),
            (r#"{"keep_days": 0}"#, "keep_days"),
            (r#"{"keep_event_days": 36501}"#, "keep_event_days"),
            (r#"{"max_bytes": 0}"#, "max_bytes"),
        ] {
            let error = options(json).ensure_usable().expect_err(json);
            assert!(error.detail.contains(part), "{error}");
        }
        let unknown = serde_json::from_str::<RecordingOptions>(r#"{"mood": "off"}"#);
        unknown.expect_err("an unknown field");
    }

    #[test]
    fn an_event_belongs_to_its_type_and_its_group() {
        let trigger = EventTrigger {
            types: vec!["reported".into(), "camera.offline".into()],
            ..EventTrigger::default()
        };
        let names = ["reported", "reported.door", "camera.offline", "camera.online", "reportedx"];
        let contains: Vec<_> = names.iter().map(|name| trigger.contains(name)).collect();
        assert_eq!(contains, [true, true, true, false, false]);
    }
}
