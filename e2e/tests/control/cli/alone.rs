//! What needs no server, and what is said where there is none.

use std::fs;
use std::process::{Command, Stdio};

use e2e::program;
use serde_json::Value;

use super::{SERVICE, done, ended, refused};

#[test]
fn what_listens_nowhere_is_not_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, SERVICE).unwrap();
    let file = file.to_str().unwrap();
    let url = format!("http://gone.localhost:{}", program::free_port());
    for arguments in [&["whoami"][..], &["apply", "-f", file], &["get", "routes"]] {
        let mut command = Command::new(program::heddle());
        command.args(arguments).args(["--server", &url]).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", folder.path()).env_remove("HEDDLE_TOKEN");
        refused(&ended(&mut command), 3, &["cannot reach http://gone.localhost"]);
        let ended = ended(command.args(["-o", "json"]));
        refused(&ended, 3, &["cannot reach http://gone.localhost"]);
        let told: Value = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(told["type"], "https://heddle.dev/problems/unreachable", "{told}");
    }
}

#[test]
fn what_needs_no_server_asks_none() {
    let run = |arguments: &[&str]| ended(Command::new(program::heddle()).args(arguments));
    for (shell, words) in
        [("bash", "complete -F"), ("zsh", "#compdef heddle"), ("fish", "complete -c")]
    {
        let ended = run(&["completion", shell]);
        assert!(done(&ended).contains(words), "{shell}");
        for command in ["join-token", "node"] {
            assert!(ended.stdout.contains(command), "{shell}: {command}");
        }
    }
    assert!(done(&run(&["version"])).starts_with("heddle "));
    assert!(done(&run(&["--help"])).contains("Exit codes: 0 done"));
    for wrong in [&["get"][..], &["get", "zebra"], &["apply"], &["whoami", "--token", "hdl_x"]] {
        refused(&run(wrong), 2, &["error: "]);
    }
}
