//! The frame of every page: navigation, the badge of the instance, notes of what was done.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

use super::{
    Pages,
    access::{Role, Visitor},
    assets,
    parts::form_token,
};

/// A page in the navigation: its path, its name, the least role.
type Link = (&'static str, &'static str, Role);

/// The pages in the navigation, in groups.
const NAVIGATION: &[(&str, &[Link])] = &[
    ("", &[("/", "Overview", Role::Reader)]),
    (
        "Knowledge",
        &[
            ("/catalogue", "Catalogue", Role::Reader),
            ("/playground", "Playground", Role::Operator),
            ("/index", "Index", Role::Reader),
        ],
    ),
    (
        "Customers",
        &[
            ("/answers", "Answers", Role::Reader),
            ("/escalations", "Escalations", Role::Reader),
            ("/sessions", "Sessions", Role::Reader),
            ("/gaps", "Gaps", Role::Reader),
        ],
    ),
    (
        "Operation",
        &[
            ("/jobs", "Jobs", Role::Reader),
            ("/queues", "Queues", Role::Reader),
            ("/webhooks", "Webhooks", Role::Reader),
            ("/money", "Money", Role::Reader),
            ("/tokens", "Tokens", Role::Admin),
            ("/audit", "Audit", Role::Reader),
        ],
    ),
];

/// What an action did, by its word in the address: an address cannot make the page say anything else.
const DONE: &[(&str, &str)] = &[
    ("stopped", "No model is asked any more. Questions get the fallback text; documents wait."),
    ("resumed", "Models are asked again."),
    ("syncing", "The source is compared with the index now."),
    ("refreshing", "The shop is asked for this document now."),
    ("claimed", "The escalation is yours. The bot is silent in this conversation."),
    ("replied", "Your answer was sent, and the escalation is resolved."),
    ("said", "Your message was sent."),
    ("handed-back", "The escalation is resolved, and the bot answers again in this conversation."),
    ("owner", "Who answers in this conversation was changed."),
    ("erased", "Erased: questions and everything that came of them."),
    ("golden", "The question is in the golden set."),
    ("faq", "The draft was saved."),
    ("faq-deleted", "The draft was deleted."),
    ("dismissed", "Dismissed: questions that are no longer shown as gaps."),
    ("retried", "Jobs that run again:"),
    ("cancelled", "Jobs that were cancelled:"),
    ("discarded", "Jobs that were discarded; they can be restored for an hour:"),
    ("restored", "Jobs that were restored:"),
    ("bulk-cancelled", "The action was ended. What it changed stays changed."),
    ("paused", "Paused."),
    ("unpaused", "Resumed."),
    ("enqueued", "Enqueued jobs:"),
    ("promoted", "The version is searched from now on."),
    ("dropping", "The version is dropped in a few seconds."),
    ("redelivered", "The message is sent again now."),
    ("revoked", "The token is revoked."),
    ("nothing", "Nothing was changed: it was in another state by then."),
];

/// A page with its title and what belongs into it.
pub(super) fn page(pages: &Pages, visitor: &Visitor, title: &str, body: &Markup) -> Html<String> {
    let look = &pages.look;
    Html(
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · " (look.name) }
                    link rel="stylesheet" href=(assets::STYLE.path());
                    link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                    script src=(assets::SCRIPT.path()) defer {}
                }
                body {
                    a.skip href="#main" { "To the content" }
                    header.top {
                        a.brand href="/" { (mark()) span { "shopkeeper" } }
                        @if look.name != "shopkeeper" || look.is_production || look.colour.is_some() { (badge(pages)) }
                        form.goto action="/go" method="get" role="search" {
                            input type="search" name="q" placeholder="Go to… (Ctrl K)" aria-label="Go to a page, document, answer or job" list="places";
                            datalist #places { @for (_, group) in NAVIGATION { @for (_, name, _) in *group { option value=(name) {} } } }
                        }
                        div.who {
                            span.hint { (visitor.name) ", " (role(visitor.role)) }
                            @if visitor.has_login {
                                form method="post" action="/logout" { (form_token(visitor)) button.quiet type="submit" { "Log out" } }
                            }
                        }
                    }
                    nav.side aria-label="Pages" { (navigation(visitor)) }
                    main #main tabindex="-1" data-live={ "/live?since=" (visitor.seen) } {
                        div.banners { (notes(visitor)) @if visitor.is_read_only { (read_only()) } }
                        (body)
                    }
                }
            }
        }
        .into_string(),
    )
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn navigation(visitor: &Visitor) -> Markup {
    let here = visitor.uri.path();
    let is_here = |path: &str| match path {
        "/" => here == "/",
        "/catalogue" => here.starts_with(path) || here.starts_with("/document"),
        "/sessions" => here.starts_with("/session"),
        path => here == path || here.starts_with(&format!("{path}/")),
    };
    html! {
        @for (group, links) in NAVIGATION {
            @if !group.is_empty() { h2 { (group) } }
            ul {
                @for (path, name, least) in links.iter().filter(|(.., least)| visitor.may(*least)) {
                    li data-role=(role(*least)) {
                        a href=(path) aria-current=[is_here(path).then_some("page")] {
                            (name)
                            @if *path == "/escalations" && visitor.open_escalations > 0 {
                                span.count title="open" { (visitor.open_escalations) @if visitor.open_escalations >= 100 { "+" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The name and colour of the instance.
fn badge(pages: &Pages) -> Markup {
    let look = &pages.look;
    html! {
        span.badge {
            @if let Some(colour) = &look.colour {
                svg width="12" height="12" aria-hidden="true" { rect width="12" height="12" rx="3" fill=(colour) {} }
            }
            (look.name)
            @if look.is_production { span.tag.bad { "production" } }
        }
    }
}

fn mark() -> Markup {
    html! {
        svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true" {
            rect.mark x="1" y="1" width="20" height="20" rx="5" {}
            path.mark-line d="M5 9h12M7 9v7h8V9M9 6h4" fill="none" stroke-width="1.8" stroke-linecap="round" {}
        }
    }
}

fn read_only() -> Markup {
    html! {
        p.banner.warn role="status" {
            "The database server can only be read: it is a standby. Pages show what it has; nothing can be changed here."
        }
    }
}

fn notes(visitor: &Visitor) -> Markup {
    let query = visitor.uri.query().unwrap_or_default();
    let value = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let done = value("done").and_then(|word| DONE.iter().find(|(known, _)| *known == word));
    let number = value("n").and_then(|number| number.parse::<u64>().ok());
    html! {
        @if let Some((word, text)) = done {
            p.banner.good role="status" {
                (text)
                @if let (true, Some(number)) = (text.ends_with(':') || *word == "erased" || *word == "dismissed", number) { " " b { (number) } }
            }
        }
    }
}
