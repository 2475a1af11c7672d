//! The commented default file: the one source of defaults.

/// Its text.
pub const DEFAULTS: &str = include_str!("config/default.toml");
