//! When something recurs: a cron pattern in a time zone, as a pure function of time.
//!
//! The pattern gives local times; the zone's rules make moments of them. A local time that a
//! clock change leaves out counts as the first moment behind the gap, and one that comes twice
//! counts the first time: so each nominal time is one moment, and no moment is due twice. Time
//! zones are those compiled into the program, the same on every machine.
use crate::clock::timestamp::Timestamp;
use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::sync::LazyLock;

/// The widest step back that a zone's clocks have made since 1970, with room: what lies behind a
/// local time by more than this lies behind it as a moment, too.
const WIDEST_OVERLAP: TimeDelta = TimeDelta::hours(26);

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A cron pattern in a time zone.
#[derive(Debug, Clone)]
pub struct Recurrence {
    cron: Cron,
    zone: TimeZone,
}

/// Why a text is not a valid recurrence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARecurrence {
    /// The pattern cannot be read.
    #[error(
        "`{pattern}` is not a cron pattern of five fields (minute, hour, day of month, month, \
         day of week): {reason}"
    )]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pattern names no moment at all, such as the 30th of February.
    #[error("`{0}` never matches a date")]
    Never(String),
    /// No such zone.
    #[error("unknown time zone `{0}`; use a name like Europe/Berlin, America/New_York or UTC")]
    Zone(String),
}

impl Recurrence {
    /// Reads a pattern (`30 2 * * 1-5`; also `@daily` and its kind) and the IANA name of a zone.
    ///
    /// # Errors
    /// When one of the two cannot be read, or no moment fits the pattern.
    pub fn parse(pattern: &str, zone: &str) -> Result<Self, NotARecurrence> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(pattern)
            .map_err(|error| NotARecurrence::Pattern {
                pattern: pattern.to_owned(),
                reason: error.to_string(),
            })?;
        let zone = ZONES
            .get(zone)
            .map_err(|_| NotARecurrence::Zone(zone.to_owned()))?;
        let recurrence = Self { cron, zone };
        match recurrence.next(Timestamp::from_millis(0)) {
            Some(_) => Ok(recurrence),
            None => Err(NotARecurrence::Never(pattern.to_owned())),
        }
    }

    /// The first nominal time behind `after`.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.local(after)?;
        loop {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let moment = self.moment(local)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The latest nominal times behind `after` and not behind `until`, oldest first, `most` of
    /// them.
    #[must_use]
    pub fn latest(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found: Vec<Timestamp> = Vec::new();
        let mut next = self
            .local(until)
            .and_then(|it| it.checked_add_signed(WIDEST_OVERLAP));
        while let Some(from) = next
            && found.len() < most
        {
            let Ok(local) = self.cron.find_previous_occurrence(&from, false) else {
                break;
            };
            next = Some(local);
            let Some(moment) = self.moment(local) else {
                continue;
            };
            if moment <= after {
                break;
            }
            // Local times within one gap are one moment.
            if moment <= until && found.last() != Some(&moment) {
                found.push(moment);
            }
        }
        found.reverse();
        found
    }

    /// What a clock on the wall shows, written as if it were UTC: cron counts in local time.
    fn local(&self, moment: Timestamp) -> Option<DateTime<Utc>> {
        let shown = self.civil(moment)?;
        let (date, time) = (shown.date(), shown.time());
        let day = chrono::NaiveDate::from_ymd_opt(
            date.year().into(),
            u32::try_from(date.month()).ok()?,
            u32::try_from(date.day()).ok()?,
        )?;
        let shown = day.and_hms_opt(
            u32::try_from(time.hour()).ok()?,
            u32::try_from(time.minute()).ok()?,
            u32::try_from(time.second()).ok()?,
        )?;
        Some(shown.and_utc())
    }

    /// What a clock on the wall shows at a moment.
    #[must_use]
    pub fn civil(&self, moment: Timestamp) -> Option<civil::DateTime> {
        let moment = jiff::Timestamp::from_millisecond(moment.millis()).ok()?;
        Some(self.zone.to_datetime(moment))
    }

    /// The moment at which the wall clock first shows `local` or, where it never does, something
    /// later.
    fn moment(&self, local: DateTime<Utc>) -> Option<Timestamp> {
        let local = civil::DateTime::new(
            local.year().try_into().ok()?,
            local.month().try_into().ok()?,
            local.day().try_into().ok()?,
            local.hour().try_into().ok()?,
            local.minute().try_into().ok()?,
            local.second().try_into().ok()?,
            0,
        )
        .ok()?;
        let shown = self.zone.to_ambiguous_timestamp(local);
        let moment = match shown.offset() {
            jiff::tz::AmbiguousOffset::Gap { .. } => {
                // `earlier` reads the time with the offset from behind the gap, which is a moment
                // before it; the next change of the clocks is the gap's end.
                let before = shown.earlier().ok()?;
                self.zone.following(before).next()?.timestamp()
            }
            jiff::tz::AmbiguousOffset::Unambiguous { .. }
            | jiff::tz::AmbiguousOffset::Fold { .. } => shown.earlier().ok()?,
        };
        let moment = moment.as_millisecond();
        (moment >= 0).then(|| Timestamp::from_millis(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(pattern: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
        let recurrence = Recurrence::parse(pattern, zone).unwrap();
        let found = recurrence.latest(at(after), at(until), 100);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_is_due_once_behind_the_gap() {
        let berlin = |pattern| {
            times(
                pattern,
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                "2026-03-29T12:00:00Z",
            )
        };
        assert_eq!(berlin("30 2 * * *"), ["2026-03-29T01:00:00.000Z"]);
        assert_eq!(berlin("*/20 2 * * *"), ["2026-03-29T01:00:00.000Z"]);
        assert_eq!(
            berlin("30 2,3 * * *"),
            ["2026-03-29T01:00:00.000Z", "2026-03-29T01:30:00.000Z"]
        );
        assert_eq!(berlin("0 2,3 * * *"), ["2026-03-29T01:00:00.000Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_is_due_the_first_time() {
        let berlin = times(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
        );
        assert_eq!(berlin, ["2026-10-25T00:30:00.000Z"]);
    }

    #[test]
    fn half_hour_zones_and_skipped_days_have_their_own_times() {
        let lord_howe = times(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            "2026-10-04T00:00:00Z",
        );
        assert_eq!(
            lord_howe,
            ["2026-10-03T15:30:00.000Z"],
            "02:00 to 02:30 is left out"
        );
        let apia = times(
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00:00Z",
            "2011-12-31T12:00:00Z",
        );
        let expected = [
            "2011-12-29T22:00:00.000Z",
            "2011-12-30T10:00:00.000Z",
            "2011-12-30T22:00:00.000Z",
        ];
        assert_eq!(
            apia, expected,
            "the 30th, which never was, counts as its end"
        );
        let kathmandu = times(
            "0 0 29 2 *",
            "Asia/Kathmandu",
            "2026-01-01T00:00:00Z",
            "2033-01-01T00:00:00Z",
        );
        assert_eq!(
            kathmandu,
            ["2028-02-28T18:15:00.000Z", "2032-02-28T18:15:00.000Z"]
        );
    }

    #[test]
    fn what_is_no_recurrence_is_refused() {
        for pattern in [
            "",
            "* * * *",
            "0 0 0 * * *",
            "61 * * * *",
            "noon",
            "0 0 30 2 *",
        ] {
            assert!(Recurrence::parse(pattern, "UTC").is_err(), "{pattern}");
        }
        for zone in ["Mars/Olympus", "", "CEST+2"] {
            let error = Recurrence::parse("0 0 * * *", zone).unwrap_err();
            assert!(matches!(error, NotARecurrence::Zone(_)), "{zone}");
        }
        assert!(Recurrence::parse("@daily", "UTC").is_ok());
    }

    proptest! {
        #[test]
        fn each_nominal_time_is_found_once_however_the_time_is_cut(
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "Africa/Casablanca",
            ]),
            pattern in prop::sample::select(vec![
                "*/15 * * * *", "30 2 * * *", "0 0,1,2,3 * * *", "0 12 * * 1-5", "5 0 29 2 *", "59 23 31 * *",
            ]),
            start in 1_000_000_000_u32..2_000_000_000,
            steps in prop::collection::vec(1_u32..200_000, 1..12),
        ) {
            let recurrence = Recurrence::parse(pattern, zone).unwrap();
            let moment = |seconds: u32| Timestamp::from_millis(i64::from(seconds) * 1000);
            let end = steps.iter().fold(start, |sum, step| sum + step);
            let whole = recurrence.latest(moment(start), moment(end), usize::MAX);
            prop_assert!(whole.is_sorted_by(|a, b| a < b));
            prop_assert!(whole.iter().all(|it| moment(start) < *it && *it <= moment(end)));

            let mut cut = Vec::new();
            let mut from = start;
            for step in steps {
                cut.extend(recurrence.latest(moment(from), moment(from + step), usize::MAX));
                from += step;
            }
            prop_assert_eq!(&cut, &whole);

            let mut walked = Vec::new();
            let mut last = moment(start);
            while let Some(next) = recurrence.next(last).filter(|it| *it <= moment(end)) {
                walked.push(next);
                last = next;
            }
            prop_assert_eq!(walked, whole);
        }
    }
}
