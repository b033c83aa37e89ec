//! The console in a real browser: Chromium by chromedriver, at two widths, with and without scripts.

use std::{net::TcpListener, sync::OnceLock};

use crate::{prelude::*, visitor::Visitor};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use url::Url;

/// Where axe-core is found: `npm install --prefix target/axe axe-core`.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/node_modules/axe-core/axe.min.js");

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    width: u32,
    is_dark: bool,
    has_scripts: bool,
}

const PHONE: Look = Look { width: 390, is_dark: true, has_scripts: true };
const DESK: Look = Look { width: 1280, is_dark: false, has_scripts: true };

/// A browser, and the program that drives it.
struct Browser {
    client: Client,
    base: String,
    look: Look,
    driver: Child,
}

/// Chromium without a window's compositor, which takes less time, if it is of the driver's version.
fn shell() -> Option<&'static str> {
    const SHELL: &str = "chromium-headless-shell";
    static PATH: OnceLock<Option<String>> = OnceLock::new();
    let version = |program: &str| {
        let output = std::process::Command::new(program).arg("--version").output().ok()?;
        let number = String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?.to_owned();
        Some(number.split('.').next()?.to_owned())
    };
    let path = PATH
        .get_or_init(|| (version(SHELL)? == version("chromedriver")?).then(|| format!("/usr/bin/{SHELL}")));
    path.as_deref()
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = self.driver.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Browser {
    /// Opens one; `None` where there is no Chromium.
    async fn open(daemon: &TestDaemon, look: Look) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The browser ends with its group: the driver alone would leave it behind.
            .process_group(0)
            .spawn();
        let Ok(driver) = driver else {
            aloud("skipped: there is no chromedriver (packages chromium and chromium-driver)");
            return None;
        };
        let scheme = i32::from(!look.is_dark);
        let mut options = json!({
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-threaded-compositing", "--in-process-gpu",
                format!("--blink-settings=preferredColorScheme={scheme}")],
            "mobileEmulation": { "deviceMetrics": { "width": look.width, "height": 900, "pixelRatio": 1, "mobile": look.width < 500, "touch": false } },
        });
        if let Some(shell) = shell() {
            options["binary"] = shell.into();
        }
        let capabilities = json!({ "goog:chromeOptions": options }).as_object().unwrap().clone();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{port}");
        let mut client = None;
        wait_until("chromedriver starts a browser", async || {
            client = builder.connect(&address).await.ok();
            client.is_some()
        })
        .await;
        let browser = Self { client: client.unwrap(), base: daemon.console(), look, driver };
        let disabled = json!({ "value": !look.has_scripts });
        let disable = DevTools { command: "Emulation.setScriptExecutionDisabled", parameters: disabled };
        browser.client.issue_cmd(disable).await.unwrap();
        Some(browser)
    }

    async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Looks until something is there. A page whose statements were stopped, as on a busy machine, is loaded again.
    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let mut found = None;
        let seen = wait_until(what, async || {
            found = look().await;
            let again = self.client.find(Locator::LinkText("Try again"));
            if found.is_none()
                && let Ok(again) = again.await
            {
                let _ = again.click().await;
            }
            found.is_some()
        });
        if timeout(LIMIT * 9 / 10, seen).await.is_err() {
            let here = self.client.current_url().await.unwrap();
            panic!("{what} at {here}: {}", self.text().await);
        }
        found.unwrap()
    }

    async fn find(&self, css: &str) -> Element {
        self.until(&format!("no {css}"), async || self.client.find(Locator::Css(css)).await.ok()).await
    }

    async fn click(&self, css: &str) {
        self.click_on(Locator::Css(css)).await;
    }

    /// Clicks the first button with this text.
    async fn press(&self, label: &str) {
        let button = format!("//main//button[starts-with(normalize-space(.), \"{label}\")]");
        self.click_on(Locator::XPath(&button)).await;
    }

    async fn click_on(&self, locator: Locator<'_>) {
        self.until(&format!("no {locator:?}"), async || {
            self.client.find(locator).await.ok()?.click().await.ok()
        })
        .await;
    }

    async fn write(&self, css: &str, text: &str) {
        self.until(&format!("no {css}"), async || {
            let field = self.client.find(Locator::Css(css)).await.ok()?;
            field.clear().await.ok()?;
            field.send_keys(text).await.ok()
        })
        .await;
    }

    /// The value of an expression in the page; `None` while another page is loading. The driver's own commands take many
    /// times as long.
    async fn value(&self, expression: &str) -> Option<Value> {
        let value = self.client.execute(&format!("return {expression}"), Vec::new()).await.ok();
        value.filter(|value| !value.is_null())
    }

    /// The text of the page; none while another one is loading.
    async fn text(&self) -> String {
        let text = self.value("document.getElementById('main')?.innerText").await;
        text.and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default()
    }

    async fn says(&self, text: &str) {
        let what = format!("{text:?} is not said");
        self.until(&what, async || self.text().await.contains(text).then_some(())).await;
    }

    async fn says_at(&self, css: &str, text: &str) {
        self.until(&format!("{text:?} is not said at {css}"), async || {
            let said = self.value(&format!("document.querySelector('{css}')?.innerText")).await?;
            (said == text).then_some(())
        })
        .await;
    }

    /// Checks that nothing is wider than the window, and that the page has a heading.
    async fn fits(&self) {
        let look = "(() => {
            const [body, main] = [document.body, document.getElementById('main')];
            const heading = document.querySelector('h1')?.innerText;
            return main && heading && [body.getBoundingClientRect().width, main.getBoundingClientRect().right];
        })()";
        let extents = self
            .until("no heading", async || {
                self.value(look).await.filter(|extents| extents.as_array().is_some())
            })
            .await;
        let at = self.client.current_url().await.unwrap();
        for extent in extents.as_array().unwrap() {
            assert!(
                extent.as_f64().unwrap() <= f64::from(self.look.width) + 0.5,
                "{at}: {extents} {:?}",
                self.look
            );
        }
    }

    async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

/// A shop in which every page has something to show.
async fn lively() -> (World, TestDaemon) {
    let (world, daemon) = World::synced().await.with_daemon().await;
    daemon
        .ask_for(&world, json!({ "question": KETTLE, "session_id": "visitor-1", "customer_id": "c" }))
        .await;
    let refusal = "I don't have information about that. Let me connect you with a human agent.";
    world.script().always(Operation::Completions, says(refusal));
    for n in 0..3 {
        let body = json!({ "question": "Do you sell boats?", "session_id": format!("boat-{n}") });
        daemon.ask_for(&world, body).await;
    }
    world.script().clear();
    world
        .execute(
            "insert into shopkeeper.job_history
                 (id, kind, key, payload, priority, outcome, error, attempts, created_at, run_at)
             select n, 'eval', 'set' || n, '{}', 0, 'dead', 'no file at line ' || n, 3, now(), now()
             from generate_series(9000001, 9000130) as n;
             update shopkeeper.document_index set state = 'failed', error = 'the server rejects it' where key = '2';
             insert into shopkeeper.delivery (webhook, event, answer_id, body, status, error)
             select 'hook', 'answer.completed', id, '{}', 'failed', '500' from shopkeeper.answer limit 1",
        )
        .await;
    (world, daemon)
}

const PAGES: &[&str] = &[
    "/",
    "/catalogue",
    "/catalogue?state=failed",
    "/document?source=product&key=3",
    "/document/preview?source=product&key=3",
    "/playground",
    "/answers",
    "/escalations",
    "/sessions",
    "/session?client=local&id=visitor-1",
    "/gaps",
    "/jobs",
    "/jobs?state=dead",
    "/jobs/9000001",
    "/jobs/bulk?state=dead&action=retry",
    "/queues",
    "/index",
    "/money",
    "/webhooks",
    "/tokens",
    "/audit",
];

#[tokio::test]
async fn every_page_fits_and_every_action_works_at_a_desk() {
    fits_and_works(DESK).await;
}

#[tokio::test]
async fn every_page_fits_and_every_action_works_at_a_desk_without_scripts() {
    fits_and_works(Look { has_scripts: false, ..DESK }).await;
}

#[tokio::test]
async fn every_page_fits_and_every_action_works_on_a_phone() {
    fits_and_works(PHONE).await;
}

#[tokio::test]
async fn every_page_fits_and_every_action_works_on_a_phone_without_scripts() {
    fits_and_works(Look { has_scripts: false, ..PHONE }).await;
}

/// Clicks through every page and action.
async fn fits_and_works(look: Look) {
    let (world, daemon) = lively().await;
    let Some(browser) = Browser::open(&daemon, look).await else { return };
    browser.go("/").await;
    browser.says("Overview").await;
    let navigation = browser.find("nav.side").await.html(true).await.unwrap();
    let paths: Vec<&str> =
        navigation.split("href=\"").skip(1).filter_map(|link| Some(link.split_once('"')?.0)).collect();
    assert_eq!(paths.len(), 14, "{paths:?}");
    for path in &paths {
        browser.click(&format!("nav.side a[href='{path}']")).await;
        browser.fits().await;
        browser.find(&format!("nav.side a[href='{path}'][aria-current]")).await;
    }
    for path in PAGES.iter().filter(|path| !paths.contains(path)) {
        browser.go(path).await;
        browser.fits().await;
    }
    act(&world, &browser).await;
    browser.close().await;
    daemon.stop().await;
}

/// Does everything that can be done.
async fn act(world: &World, browser: &Browser) {
    browser.go("/").await;
    browser.press("Stop all spending").await;
    browser.says("No model is asked any more").await;
    browser.press("Ask models again").await;
    browser.says("Models are asked again").await;

    browser.go("/catalogue").await;
    browser.press("Sync now").await;
    browser.says("compared with the index now").await;
    browser.go("/document?source=product&key=3").await;
    browser.press("Read it from the shop again").await;
    browser.says("is asked for this document now").await;

    browser.go("/escalations").await;
    browser.press("Claim").await;
    browser.says("The escalation is yours").await;
    browser.write("textarea[name=text]", "No boats, but kettles.").await;
    browser.press("Send").await;
    browser.says("Your answer was sent").await;
    browser.go("/escalations").await;
    browser.press("Resolve without an answer").await;
    browser.says("the bot answers again").await;
    assert_eq!(world.count("answer where outcome = 'human'").await, 1);

    browser.go("/session?client=local&id=visitor-1").await;
    browser.press("Take over").await;
    browser.says("Who answers in this conversation was changed").await;
    browser.click("main details:not(.command) summary").await;
    browser.write("input[name=confirm]", "erase").await;
    browser.press("Erase").await;
    browser.says("Erased").await;
    assert_eq!(world.count("session where id = 'visitor-1'").await, 0);

    browser.go("/gaps").await;
    browser.says("Do you sell boats").await;
    browser.click("main section details:not(.command) summary").await;
    browser.write("main section textarea[name=answer]", "We do not.").await;
    browser.press("Save the draft").await;
    browser.says("The draft was saved").await;
    browser.press("Dismiss").await;
    browser.says("Dismissed").await;

    browser.go("/jobs?state=dead").await;
    browser.click("input[name=id]").await;
    browser.press("Discard selected").await;
    browser.says("can be restored for an hour: 1").await;
    browser.go("/jobs").await;
    browser.press("Restore them").await;
    browser.says("Jobs that were restored: 1").await;
    browser.go("/jobs/bulk?state=dead&kind=eval&action=discard").await;
    browser.write("input[name=confirm]", "130").await;
    browser.press("Discard 130 jobs").await;
    world.until_some("bulk_action where state = 'done'").await;
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 0);

    browser.go("/queues").await;
    browser.press("Pause").await;
    browser.says("Paused.").await;
    browser.press("Resume").await;
    browser.says("Resumed.").await;
    browser.press("Run now").await;
    browser.says("Enqueued jobs: 1").await;

    browser.go("/playground").await;
    browser.write("main input[name=q]", KETTLE).await;
    browser.press("Ask").await;
    browser.says("It cost").await;
    browser.says("Kettle").await;

    browser.go("/webhooks").await;
    if world.count("delivery").await > 0 {
        browser.press("Send again").await;
        browser.says("The message is sent again").await;
    }
    browser.go("/tokens").await;
    browser.write("input[name=client]", "telegram").await;
    browser.click("input[name='scope:answers:write']").await;
    browser.press("Make it").await;
    browser.says("It is shown only now").await;
    browser.go("/tokens").await;
    browser.press("Revoke").await;
    browser.says("The token is revoked").await;

    browser.go("/").await;
    browser.write(".goto input", "product/3").await;
    browser.find(".goto input").await.send_keys("\u{e007}").await.unwrap();
    browser.says("Steel kettle").await;
    browser.go("/audit").await;
    browser.says("revoke token").await;
}

#[tokio::test]
async fn an_open_page_is_pushed_changes_and_holds_still_while_it_is_used() {
    let (world, daemon) = lively().await;
    let Some(browser) = Browser::open(&daemon, DESK).await else { return };
    browser.go("/answers").await;
    daemon.ask_for(&world, question("Is the shirt of cotton?")).await;
    browser.says("Is the shirt of cotton?").await;
    browser.go("/jobs?state=dead").await;
    browser.click("input[data-all]").await;
    browser.says_at("[data-selected]", "50").await;
    daemon.ask_for(&world, question("And the kettle?")).await;
    browser.find("button.pill").await;
    browser.says_at("[data-selected]", "50").await;
    // A script that somebody planted does not run, and the page's own keys work.
    let planted =
        "const s = document.createElement('script'); s.textContent = 'document.title = \"planted\"';
        document.body.append(s); return document.title";
    let title = browser.client.execute(planted, Vec::new()).await.unwrap();
    assert_eq!(title, "Jobs · shopkeeper");
    browser.go("/escalations").await;
    let first = browser.text().await;
    browser.find("body").await.send_keys("j").await.unwrap();
    wait_until("j goes to the next", async || {
        browser.client.current_url().await.unwrap().path() != "/escalations"
    })
    .await;
    assert!(!first.is_empty());
    browser.close().await;
    daemon.stop().await;
}

#[tokio::test]
async fn no_page_keeps_anybody_out_at_a_desk() {
    accessible([(DESK, Rules::All), (Look { is_dark: true, ..DESK }, Rules::Contrast)]).await;
}

#[tokio::test]
async fn no_page_keeps_anybody_out_on_a_phone() {
    accessible([(PHONE, Rules::All), (Look { is_dark: false, ..PHONE }, Rules::Contrast)]).await;
}

/// What axe-core looks for.
#[derive(Clone, Copy, Debug)]
enum Rules {
    All,
    /// The one that depends on the colours.
    Contrast,
}

/// Has axe-core look for what keeps people out, on every page.
async fn accessible(looks: [(Look, Rules); 2]) {
    let Ok(axe) = fs::read_to_string(AXE) else {
        aloud("skipped: there is no axe-core (npm install --prefix target/axe axe-core)");
        return;
    };
    let (_world, daemon) = lively().await;
    let answer = Visitor::new(&daemon).first_answer().await;
    for (look, rules) in looks {
        let Some(browser) = Browser::open(&daemon, look).await else { return };
        let only = match rules {
            Rules::All => "",
            Rules::Contrast => "runOnly: ['color-contrast'], ",
        };
        let run = format!(
            "const done = arguments[0];
            axe.run({{ {only}resultTypes: ['violations'] }}).then((result) => done(result.violations
                .filter((one) => one.impact === 'serious' || one.impact === 'critical')
                .map((one) => one.id + ': ' + one.nodes.map((node) => node.html).slice(0, 3).join(' | '))))"
        );
        let on_each_page = json!({ "source": axe });
        let inject = DevTools { command: "Page.addScriptToEvaluateOnNewDocument", parameters: on_each_page };
        browser.client.issue_cmd(inject).await.unwrap();
        for path in PAGES.iter().copied().chain([answer.as_str()]) {
            browser.go(path).await;
            let violations = browser.client.execute_async(&run, Vec::new()).await.unwrap();
            assert_eq!(violations, json!([]), "{path} {look:?}");
        }
        browser.close().await;
    }
    daemon.stop().await;
}
