//! A count with its noun.

/// `1 event`, `2 events`.
pub(crate) fn counted(count: impl TryInto<u64>, one: &str) -> String {
    match count.try_into() {
        Ok(1) => format!("1 {one}"),
        Ok(count) => format!("{count} {one}s"),
        Err(_) => format!("many {one}s"),
    }
}

/// `1 checkpoint matches`, `2 checkpoints match`.
pub(crate) fn matching(checkpoints: usize) -> String {
    let verb = if checkpoints == 1 { "matches" } else { "match" };
    format!("{} {verb}", counted(checkpoints, "checkpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        assert_eq!(counted(0_u64, "event"), "0 events");
        assert_eq!(counted(1_usize, "event"), "1 event");
        assert_eq!(counted(2_u32, "event"), "2 events");
        assert_eq!(matching(1), "1 checkpoint matches");
        assert_eq!(matching(2), "2 checkpoints match");
    }
}
