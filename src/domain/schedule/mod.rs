//! Schedules: cron entries that submit lifecycle commands.
pub mod recurrence;

use self::recurrence::Recurrence;
use super::command::lifecycle::{LifecycleCommand, Placeholders};
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{JobId, ScheduleId, Sequence, TokenId};
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A nominal time that is older than this was missed: the forge did not run, or its ticker
/// did not ring. Five rings of an ticker that rings every minute.
const GRACE: Duration = Duration::from_secs(300);
/// Most missed times that `all` makes up for, the latest of them.
const MOST_MADE_UP_FOR: usize = 100;

/// What happens to nominal times that were missed. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// They are left out.
    Skip,
    /// The latest is made up for.
    #[default]
    Latest,
    /// All are made up for, at most the latest hundred.
    All,
}

impl Misfire {
    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }
}

/// What happens when the job of the time before has not ended. Stored: arms are only ever added
/// at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// This time is left out.
    #[default]
    Skip,
    /// The new job stands in line behind it.
    Queue,
}

impl Overlap {
    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}

/// When it runs, what it does, and how it handles missed and overlapping runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulePlan {
    /// A cron pattern of five fields.
    pub cron: String,
    /// The IANA name of the time zone that the pattern is in.
    pub timezone: String,
    /// What is submitted.
    pub command: LifecycleCommand,
    /// What happens to times that were missed.
    pub misfire: Misfire,
    /// What happens when the job of the time before has not ended.
    pub overlap: Overlap,
    /// Whether it is not paused.
    pub enabled: bool,
}

/// What came of one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The time it was due; none for a manual run.
    pub nominal: Option<Timestamp>,
    /// When it was carried out.
    pub at: Timestamp,
    /// The job that it put in the queue.
    pub job: Option<JobId>,
    /// Why it put none.
    pub refusal: Option<String>,
}

/// How a schedule was set back that had carried out times ahead of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// The event: times behind it may come a second time.
    pub by: Sequence,
    /// What it was done with until then. This one time does not come again, so that what is done
    /// once a day is not done twice, while what is done each minute goes on.
    pub was_done_until: Timestamp,
}

/// A schedule as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its permanent id.
    pub id: ScheduleId,
    /// Its name; its commands are signed with `schedule/<name>`.
    pub name: String,
    /// When and what.
    pub plan: SchedulePlan,
    /// The token whose rights it has; none for root's.
    pub token: Option<TokenId>,
    /// Times up to here are done with.
    pub done_until: Timestamp,
    /// How that was set back the last time, where it was.
    pub rewound: Option<Rewound>,
    /// What came of the last time.
    pub last: Option<Firing>,
    /// The last job that it put in the queue.
    pub last_job: Option<JobId>,
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub sequence: Sequence,
}

impl Schedule {
    /// The schedule that an event begins, where it begins one.
    #[must_use]
    pub fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let Event::ScheduleCreated(it) = &recorded.event else {
            return None;
        };
        Some(Self {
            id: it.schedule,
            name: it.name.clone(),
            plan: it.plan.clone(),
            token: it.token,
            done_until: recorded.commit.wall_time(),
            rewound: None,
            last: None,
            last_job: None,
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
        })
    }

    /// Follows one of its own events.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other events do not change a schedule"
    )]
    pub fn evolve(&mut self, recorded: &RecordedEvent) {
        self.sequence = recorded.sequence;
        match &recorded.event {
            Event::ScheduleChanged(it) => {
                self.plan = it.plan.clone();
                self.token = it.token;
                // What a schedule says now is true from now on.
                self.done_until = self.done_until.max(recorded.commit.wall_time());
            }
            Event::ScheduleRewound(it) => {
                self.rewound = Some(Rewound {
                    by: recorded.sequence,
                    was_done_until: self.done_until,
                });
                self.done_until = it.done_until;
            }
            Event::ScheduleFired(it) => {
                self.done_until = self.done_until.max(it.nominal.unwrap_or_default());
                self.last_job = it.job.or(self.last_job);
                self.last = Some(Firing {
                    nominal: it.nominal,
                    at: recorded.commit.time,
                    job: it.job,
                    refusal: it.refusal.clone(),
                });
            }
            _ => {}
        }
    }

    /// The nominal times to carry out now, oldest first: behind those that are done with, not
    /// ahead of the clock, and of the missed ones those that its policy makes up for.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<Timestamp> {
        let is_running = self.plan.enabled && !self.is_ahead_of(now);
        let Some(recurrence) = self.recurrence().filter(|_| is_running) else {
            return Vec::new();
        };
        let most = match self.plan.misfire {
            Misfire::Skip | Misfire::Latest => 1,
            Misfire::All => MOST_MADE_UP_FOR,
        };
        let mut due = recurrence.latest(self.done_until, now, most);
        due.retain(|nominal| !self.was_done_ahead(*nominal));
        if self.plan.misfire == Misfire::Skip {
            due.retain(|nominal| now.since(*nominal) <= GRACE);
        }
        due
    }

    /// Whether it is done with times that are still to come, by more than clocks are set right
    /// within an hour or two: the clock was ahead, and is not any more.
    #[must_use]
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.done_until.since(now) > GRACE
    }

    /// The next nominal time; none while it is paused.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let is_ahead = self.is_ahead_of(now);
        let done = Some(self.done_until).filter(|_| !is_ahead);
        let recurrence = self.recurrence().filter(|_| self.plan.enabled)?;
        let next = recurrence.next(done.unwrap_or_default().max(now))?;
        let comes_no_more = if is_ahead {
            next == self.done_until
        } else {
            self.was_done_ahead(next)
        };
        if comes_no_more {
            recurrence.next(next)
        } else {
            Some(next)
        }
    }

    fn was_done_ahead(&self, nominal: Timestamp) -> bool {
        self.rewound.is_some_and(|it| it.was_done_until == nominal)
    }

    /// The idempotency key of one of its times: a time is carried out once, and once more only
    /// where the clock was ahead the first time.
    #[must_use]
    pub fn key_of(&self, nominal: Timestamp) -> String {
        match self.rewound {
            None => format!("{}@{nominal}", self.id),
            Some(it) => format!("{}@{nominal} behind {}", self.id, it.by),
        }
    }

    /// What its command's placeholders stand for at a moment: the day and the minute in its zone.
    #[must_use]
    pub fn moment(&self, at: Timestamp) -> Placeholders {
        moment(self.recurrence().as_ref(), at)
    }

    /// A log that was written by hand may hold a pattern that is none: it is never due.
    fn recurrence(&self) -> Option<Recurrence> {
        Recurrence::parse(&self.plan.cron, &self.plan.timezone).ok()
    }
}

/// What placeholders stand for at a moment, in the time zone of a recurrence.
#[must_use]
pub fn moment(recurrence: Option<&Recurrence>, at: Timestamp) -> Placeholders {
    let shown = recurrence.and_then(|it| it.civil(at)).unwrap_or_default();
    Placeholders {
        date: shown.strftime("%Y%m%d").to_string(),
        time: shown.strftime("%H%M").to_string(),
    }
}
