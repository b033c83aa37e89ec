//! Whether a customer wants to speak to a human.

/// Phrases for it, in the languages of our shops. A question that merely mentions people ("is it for two persons?")
/// contains none of them.
const WISHES: &str = "\
    speak to a human, talk to a human, speak with a human, talk with a human, chat with a human, \
    speak to a person, talk to a person, real person, human agent, live agent, human being, speak to someone, \
    talk to someone, speak with someone, speak to an agent, talk to an agent, connect me to, \
    customer service representative, speak to a representative, talk to a representative, speak to your staff, \
    talk to your staff, speak to an employee, call me back, \
    mit einem menschen, mit einem mitarbeiter, mit einer mitarbeiterin, mit jemandem sprechen, \
    mit jemandem reden, rufen sie mich, echten menschen, kundendienst sprechen, \
    parler à un humain, parler à quelqu, parler à un conseiller, parler avec un conseiller, une vraie personne, \
    hablar con una persona, hablar con un humano, hablar con alguien, hablar con un agente, \
    parlare con una persona, parlare con un operatore, parlare con qualcuno, \
    met een medewerker, met een mens, iemand spreken";

/// Whether a question asks for a human.
pub fn wants_human(question: &str) -> bool {
    let question = question.to_lowercase();
    WISHES.split(", ").any(|wish| question.contains(wish))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_a_human_is_heard_and_people_in_a_question_are_none() {
        for wish in
            ["Can I talk to a human?", "Ich will mit einem Menschen sprechen!", "I want a REAL PERSON."]
        {
            assert!(wants_human(wish), "{wish}");
        }
        for other in ["Is the tent for two persons?", "Does the agent cleaner hurt people?", "Who makes it?"]
        {
            assert!(!wants_human(other), "{other}");
        }
    }
}
