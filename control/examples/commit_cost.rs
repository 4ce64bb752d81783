//! What one commit costs in an installation of 200 workspaces with 25 routes each:
//! `cargo run -p control --profile count --example commit_cost`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use control::keep::{Location, Store};
use control::{App, Op, read};
use model::Name;
use model::access::Actor;
use time::OffsetDateTime;

const WORKSPACES: usize = 200;
const ROUTES: usize = 25;
const COMMITS: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let place = Location::Folder(folder.path().to_owned());
    let app = App::new(Store::open(&place).await?);
    app.found(&Name::parse("root")?, OffsetDateTime::now_utc()).await?;
    let began = Instant::now();
    change(&app, "root", &installation()).await?;
    println!("{} objects made in {:?}", app.world().await?.objects.len(), began.elapsed());
    let (mut commits, mut plans) = (Vec::new(), Vec::new());
    for round in 0..COMMITS {
        let (own, number) = (round * 7 % WORKSPACES, round % ROUTES);
        let text = route(own, number, &format!("/p{round}"));
        if round % 20 == 0 {
            let began = Instant::now();
            let plan = app.change_plan(&op(&format!("u{own}"))?, edits(&text)?).await?;
            assert!(!plan.requests.is_empty(), "a path that moves leads requests elsewhere");
            plans.push(began.elapsed());
        }
        let began = Instant::now();
        change(&app, &format!("u{own}"), &text).await?;
        app.world().await?;
        commits.push(began.elapsed());
    }
    println!("commit: {}", spread(commits));
    println!("plan: {}", spread(plans));
    let began = Instant::now();
    App::new(Store::open(&place).await?).world().await?;
    println!("opened and read anew in {:?}", began.elapsed());
    Ok(())
}

fn op(user: &str) -> Result<Op, Box<dyn Error>> {
    Ok(Op {
        actor: Actor { user: Name::parse(user)?, groups: Default::default() },
        limit: None,
        request_id: String::new(),
        now: OffsetDateTime::now_utc(),
        message: String::new(),
        once: None,
    })
}

fn edits(text: &str) -> Result<Vec<control::Edit>, Box<dyn Error>> {
    read(text).map_err(|faults| format!("{faults:?}").into())
}

async fn change(app: &App, user: &str, text: &str) -> Result<(), Box<dyn Error>> {
    app.change_commit(&op(user)?, edits(text)?).await?;
    Ok(())
}

fn spread(mut taken: Vec<Duration>) -> String {
    taken.sort();
    let at = |percent: usize| taken[(taken.len() - 1) * percent / 100];
    format!("p50 {:?}, p90 {:?}, p99 {:?}, most {:?}", at(50), at(90), at(99), at(100))
}

fn installation() -> String {
    let mut text = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                    metadata: { name: edge, namespace: platform }\n\
                    spec: { gatewayClassName: heddle, listeners: [{ name: http, protocol: HTTP, \
                    port: 8080, allowedRoutes: { namespaces: { from: All } } }] }\n"
        .to_owned();
    for own in 0..WORKSPACES {
        let version = "apiVersion: heddle.dev/v1alpha1";
        // Writing to a text does not fail.
        let _written = write!(
            text,
            "---\n{version}\nkind: Workspace\nmetadata: {{ name: w{own} }}\n\
             ---\n{version}\nkind: Team\nmetadata: {{ name: w{own} }}\nspec: {{ members: [u{own}] }}\n\
             ---\n{version}\nkind: Grant\nmetadata: {{ name: own, namespace: w{own} }}\n\
             spec: {{ subjects: [{{ team: w{own} }}], role: owner }}\n\
             ---\n{version}\nkind: Claim\nmetadata: {{ name: hosts, namespace: w{own} }}\n\
             spec: {{ hosts: [{{ host: '*.w{own}.test' }}] }}\n\
             ---\napiVersion: v1\nkind: Service\nmetadata: {{ name: app, namespace: w{own} }}\n\
             spec: {{ ports: [{{ port: 80 }}] }}\n"
        );
        for number in 0..ROUTES {
            text += &route(own, number, "/");
        }
    }
    text
}

fn route(own: usize, number: usize, path: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: r{number}, namespace: w{own} }}\n\
         spec:\n  parentRefs: [{{ name: edge, namespace: platform }}]\n  \
         hostnames: [h{number}.w{own}.test]\n  \
         rules: [{{ matches: [{{ path: {{ value: {path} }} }}], \
         backendRefs: [{{ name: app, port: 80 }}] }}]\n"
    )
}
