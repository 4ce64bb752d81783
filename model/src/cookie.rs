//! The cookies by which the console knows a browser: whoever stands before an application takes them
//! off.

/// The session of a person.
pub const SESSION: &str = "heddle-session";
/// The same behind TLS: browsers keep one of this name for its host and TLS alone.
pub const SESSION_BEHIND_TLS: &str = "__Host-heddle-session";
