//! The scenarios that come with the tool.

/// Name and text of each.
pub const SCENARIOS: [(&str, &str); 9] = [
    ("fanout", include_str!("../../scenarios/fanout.toml")),
    ("rooms", include_str!("../../scenarios/rooms.toml")),
    ("direct", include_str!("../../scenarios/direct.toml")),
    ("broadcast-hot", include_str!("../../scenarios/broadcast-hot.toml")),
    ("idle", include_str!("../../scenarios/idle.toml")),
    ("connect-storm", include_str!("../../scenarios/connect-storm.toml")),
    ("resume-storm", include_str!("../../scenarios/resume-storm.toml")),
    ("slow-readers", include_str!("../../scenarios/slow-readers.toml")),
    ("mixed-chat", include_str!("../../scenarios/mixed-chat.toml")),
];

/// The text of a scenario that comes with the tool.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    SCENARIOS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// All names, for a sentence.
#[must_use]
pub fn names() -> String {
    SCENARIOS.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::plan::Plan;
    use crate::scenario::settings::Settings;

    #[test]
    fn every_scenario_is_sound_bounded_and_fits_a_laptop() {
        for (name, text) in SCENARIOS {
            let settings = Settings::read(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(settings.name.as_deref(), Some(name));
            assert!(settings.about.is_some(), "{name}");
            let plan = Plan::new(settings).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(plan.scenario.connections <= 5_000, "{name}");
            assert!(plan.length().as_secs() <= 60, "{name}");
        }
    }
}
