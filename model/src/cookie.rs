//! The cookies by which the console knows a browser: whoever stands before an application takes them
//! off.

/// The session of a person.
pub const SESSION: &str = "heddle-session";
/// The same behind TLS: browsers keep one of this name for its host and TLS alone.
pub const SESSION_BEHIND_TLS: &str = "__Host-heddle-session";
/// A person who went to a login provider and is to come back.
pub const LOGIN: &str = "heddle-login";
/// The same behind TLS.
pub const LOGIN_BEHIND_TLS: &str = "__Host-heddle-login";

/// All of them.
pub const ALL: [&str; 4] = [SESSION, SESSION_BEHIND_TLS, LOGIN, LOGIN_BEHIND_TLS];
