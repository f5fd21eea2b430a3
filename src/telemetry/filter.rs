//! Which lines of the log are written.
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What the lines of the access log have as their target.
pub const ACCESS: &str = "dbforge_access";

/// What other crates say at `info` at every start is irrelevant here.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// The forge's own level where none is set.
const OWN: LevelFilter = LevelFilter::INFO;

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

/// The filter that `setting` describes. A level without a name is the forge's own: `debug` shows
/// nothing of the crates below it, which have to be named. An access log that is on is written
/// whatever else is.
pub(super) fn for_forge(setting: &str, access_log: bool) -> Result<EnvFilter, FilterError> {
    // Of two for the same crate, the later one holds.
    let mut directives = own(OWN).to_vec();
    for directive in setting.split(',').map(str::trim) {
        match directive.parse::<LevelFilter>() {
            _ if directive.is_empty() => {}
            Ok(level) => directives.extend(own(level)),
            // Alone, it would be the name of a crate, and every line but its own would be silent.
            Err(_) if !directive.contains(['=', '[', ']', '{', '}']) => {
                return Err(FilterError(format!(
                    "`{directive}` is not one of off, error, warn, info, debug, trace, and not \
                     `crate=level`"
                )));
            }
            Err(_) => directives.push(directive.to_owned()),
        }
    }
    if access_log {
        directives.push(format!("{ACCESS}=info"));
    }
    let filter = EnvFilter::builder().parse(directives.join(","));
    filter.map_err(|error| FilterError(error.to_string()))
}

fn own(level: LevelFilter) -> [String; 2] {
    [level.min(OTHERS).to_string(), format!("dbforge={level}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(setting: &str) -> String {
        let filter = for_forge(setting, false).unwrap().to_string();
        let mut directives: Vec<&str> = filter.split(',').collect();
        directives.sort_unstable();
        directives.join(",")
    }

    #[test]
    fn other_crates_are_silent_until_they_are_named() {
        assert_eq!(filter("debug"), "dbforge=debug,warn");
        assert_eq!(filter("info"), "dbforge=info,warn");
        assert_eq!(filter("error"), "dbforge=error,error");
        assert_eq!(filter("off"), "dbforge=off,off");
        assert_eq!(
            filter("debug,hyper=debug"),
            "dbforge=debug,hyper=debug,warn"
        );
        assert_eq!(filter("warn,dbforge=trace"), "dbforge=trace,warn");
        assert_eq!(filter("hyper=debug"), "dbforge=info,hyper=debug,warn");
        assert_eq!(filter(""), "dbforge=info,warn");
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for wrong in ["loud", "info,debugg", "dbforge=loud"] {
            assert!(for_forge(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_access_log_is_written_at_any_level() {
        let filter = for_forge("error", true).unwrap().to_string();
        assert!(filter.contains("dbforge_access=info"), "{filter}");
    }
}
