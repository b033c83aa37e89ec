//! The messages of a request.

use serde_json::{Value, json};

use crate::model::{Message, Prompt, Role, learned::SystemRole};

/// Writes the instructions and the conversation. Where there is no role for instructions, they begin the first message of
/// the user, and messages of one speaker in a row become one: templates without that role want speakers to alternate.
pub(super) fn messages(prompt: &Prompt, system_role: SystemRole) -> Value {
    let write = |role: &str, content: &str| json!({ "role": role, "content": content });
    if system_role != SystemRole::User {
        let system = write(system_role.into(), &prompt.system);
        let messages = prompt.messages.iter().map(|message| write(word(message.role), &message.content));
        return std::iter::once(system).chain(messages).collect();
    }
    let mut merged = vec![Message { role: Role::User, content: prompt.system.clone() }];
    for message in &prompt.messages {
        match merged.last_mut() {
            Some(last) if last.role == message.role => {
                last.content.push_str("\n\n");
                last.content.push_str(&message.content);
            }
            _ => merged.push(message.clone()),
        }
    }
    merged.iter().map(|message| write(word(message.role), &message.content)).collect()
}

fn word(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(system_role: SystemRole, roles: &[Role]) -> String {
        let message = |(n, role): (usize, &Role)| Message { role: *role, content: n.to_string() };
        let prompt = Prompt {
            system: "S".to_owned(),
            messages: roles.iter().enumerate().map(message).collect(),
            temperature: None,
            max_tokens: 1,
            thought_tokens: 0,
        };
        let messages = messages(&prompt, system_role);
        let shown = messages.as_array().unwrap().iter();
        let shown = shown.map(|message| format!("{} {}", message["role"], message["content"]));
        shown.collect::<Vec<_>>().join(", ").replace('"', "")
    }

    #[test]
    fn instructions_have_the_role_that_the_server_knows() {
        let roles = [Role::User, Role::Assistant, Role::User];
        assert_eq!(written(SystemRole::System, &roles), "system S, user 0, assistant 1, user 2");
        assert_eq!(written(SystemRole::Developer, &roles), "developer S, user 0, assistant 1, user 2");
        assert_eq!(written(SystemRole::User, &roles), r"user S\n\n0, assistant 1, user 2");
        let unanswered = [Role::Assistant, Role::User, Role::User];
        assert_eq!(written(SystemRole::User, &unanswered), r"user S, assistant 0, user 1\n\n2");
    }
}
