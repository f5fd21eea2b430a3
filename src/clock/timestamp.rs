//! Moments and durations as they are stored and shown.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A moment: milliseconds since the Unix epoch, UTC.
///
/// People and JSON see RFC 3339 (`2026-03-01T12:00:00.000Z`); the event log stores the number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

/// The last moment that can be written: 26 hours before the end of the year 9999, so that in no
/// time zone it is the year 10000 (jiff's bound).
const LAST_MILLIS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// A moment from its number, held within the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LAST_MILLIS))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The moment `wait` later, at most the last that can be written.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(wait))
    }

    /// Time from `earlier` to this moment, zero when it is the other way round.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0)
            .expect("a timestamp lies between the years 1970 and 9999");
        write!(f, "{moment:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a valid time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time between 1970 and 9998, such as 2026-03-01T12:00:00Z")]
pub struct NotATimestamp(String);

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|it| Self::from_millis(it.as_millisecond()))
            .map_err(|_| NotATimestamp(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_millis)
        }
    }
}

/// Why a text is not a valid duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration; write `30s`, `15m`, `2h`, `7d` or a number of seconds, at most 100 years"
)]
pub struct NotADuration(String);

/// Reads `500ms`, `30s`, `15m`, `2h`, `7d`, or a plain number of seconds.
///
/// # Errors
/// When the text has another form or the duration exceeds 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
    let error = || NotADuration(text.to_owned());
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| error())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    let millis = number.checked_mul(unit_ms).ok_or_else(error)?;
    Some(Duration::from_millis(millis))
        .filter(|it| *it <= LONGEST)
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_with_milliseconds() {
        let moment = Timestamp::from_millis(1_772_366_400_005);
        assert_eq!(moment.to_string(), "2026-03-01T12:00:00.005Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!(
            "2026-03-01T13:00:00.005+01:00".parse(),
            Ok(moment),
            "another zone names the same moment"
        );
    }

    #[test]
    fn the_first_and_the_last_moment_can_be_shown() {
        let last = Timestamp::default().after(Duration::from_secs(u64::MAX));
        assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(last.to_string().parse(), Ok(last));
        assert_eq!(Timestamp::from_millis(i64::MAX), last);
        let first = Timestamp::from_millis(i64::MIN);
        assert_eq!(first.to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations_are_written_with_a_unit_or_in_seconds() {
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        for wrong in [
            "",
            "h",
            "2 h",
            "-1s",
            "2y",
            "99999999999999999999",
            "9999999d",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
