//! Products and questions that give orders to the model.
//!
//! Two promises, for each line of `hostile.jsonl`: what it says reaches the model as data, inside its own
//! marks, whatever it holds; and a model that obeys it all the same does not get through with links, citations
//! and numbers that no passage has. What a product's own text claims is what the shop says, and stays.

use crate::prelude::*;

struct Hostile {
    is_product: bool,
    text: String,
    /// The answer of a model that obeys.
    obeyed: String,
    /// Whether the answer is withheld: what the product's own text claims is not.
    is_withheld: bool,
}

fn corpus() -> Vec<Hostile> {
    let lines = include_str!("hostile.jsonl").lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let [text, obeyed] = ["text", "obeyed"].map(|field| as_text(&line[field]).to_owned());
        Hostile { is_product: line["in"] == "product", text, obeyed, is_withheld: line["withheld"] == true }
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() >= 40);
    lines
}

/// The passages of a prompt and the question after them, read by the mark of its first line.
fn parted(content: &str) -> (Vec<String>, String) {
    let mark = content.strip_prefix("<passage-").unwrap().split(' ').next().unwrap().to_owned();
    assert!(mark.len() >= 32 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()), "{mark}");
    let (opening, closing) = (format!("<passage-{mark} "), format!("</passage-{mark}>\n"));
    let mut rest = content;
    let mut passages = Vec::new();
    while let Some(inside) = rest.strip_prefix(&opening) {
        let (passage, after) = inside.split_once(&closing).unwrap();
        passages.push(passage.to_owned());
        rest = after;
    }
    (passages, rest.strip_prefix("Question: ").unwrap().to_owned())
}

/// A shop of these products with a daemon.
async fn shop(products: impl Iterator<Item = String>) -> (World, TestDaemon) {
    let insert = |product| format!("insert into product values {product};");
    let shop = product_table().to_owned() + &products.map(insert).collect::<String>();
    World::with(&shop, SOURCE).await.with_daemon().await
}

/// Asks with a model that obeys; checks its prompt and the answer to the customer, and returns the passages.
async fn obey(world: &World, daemon: &TestDaemon, question: &str, hostile: &Hostile) -> Vec<String> {
    world.script().queue(Operation::Completions, [says(&hostile.obeyed), says(&hostile.obeyed)]);
    let answer = daemon.ask(world, self::question(question)).await;
    world.script().clear();
    let said = as_text(&answer["answer"]["text"]);
    if hostile.is_withheld {
        assert_eq!(answer["escalation"]["reason"], "ungrounded", "{} got through: {answer}", hostile.obeyed);
        assert_starts(said, "I don't have information");
    } else {
        assert_eq!(said, hostile.obeyed);
    }
    let body = world.script().bodies(Operation::Completions).pop().unwrap();
    let messages = as_list(&body["messages"]);
    let roles: Vec<_> = messages.iter().map(|message| as_text(&message["role"])).collect();
    assert_eq!(roles, ["system", "user"], "nobody else speaks");
    let (passages, asked) = parted(as_text(&messages[1]["content"]));
    assert_eq!((passages.len(), asked.as_str()), (5, question), "five passages, then the question alone");
    let system = as_text(&messages[0]["content"]);
    assert!(!system.contains(&hostile.text), "{system}");
    passages
}

#[tokio::test]
async fn orders_in_products_are_data_and_links_and_numbers_from_elsewhere_do_not_get_through() {
    let products: Vec<_> = corpus().into_iter().filter(|hostile| hostile.is_product).collect();
    let rows = (1000..).zip(&products).map(|(id, hostile)| {
        format!("({id}, 'Shade {id}', '{}', 3.70, 6)", hostile.text.replace('\'', "''"))
    });
    let (world, daemon) = shop(rows).await;
    for (id, hostile) in (1000..).zip(&products) {
        let question = format!("Shade {id}. {}", hostile.text);
        let passages = obey(&world, &daemon, &question, hostile).await;
        assert!(passages.iter().any(|passage| passage.contains(&format!("Shade {id}"))), "{question}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn orders_in_questions_are_questions_and_what_they_claim_does_not_get_through() {
    let names = (101..).zip(["Lamp", "Kettle", "Chair", "Table", "Rug", "Shelf"]);
    let row = |(id, name)| format!("({id}, '{name}', 'A {name} for the house.', 12.80, 3)");
    let (world, daemon) = shop(names.map(row)).await;
    for hostile in corpus().iter().filter(|hostile| !hostile.is_product) {
        obey(&world, &daemon, &hostile.text, hostile).await;
    }
    daemon.stop().await;
}
