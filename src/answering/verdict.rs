//! The verdict over an answer: whether it is given, withheld or a refusal, and whether a human is asked for.

use crate::{
    answering::{
        Passage,
        grounding::{Grounding, find_citations},
        handover::{Doubt, Fit, Signals},
        object::{
            AnswerOutcome, AnswerStatus, AnswerText, EscalationReason, IncompleteReason, Settlement, Source,
        },
        passage::nearest,
    },
    model::{Completion, FinishReason},
};

/// Refuses because nothing was found; a human is asked for.
pub fn refuse(refusal: &str, threshold: f64) -> Settlement {
    let (text, finish_reason) = (refusal.to_owned(), Some("stop".to_owned()));
    Settlement {
        status: AnswerStatus::Completed,
        outcome: Some(AnswerOutcome::NoAnswer),
        answer: Some(AnswerText { text, finish_reason, ..AnswerText::default() }),
        escalation_threshold: threshold,
        escalation_reason: Some(EscalationReason::NoPassages),
        grounding: Some(Grounding::default()),
        ..Settlement::default()
    }
}

/// Replaces an ungrounded answer by the refusal; a human is asked for.
pub fn withhold(refusal: &str, ungrounded: Settlement, passages: &[Passage]) -> Settlement {
    let answer = ungrounded.answer.unwrap_or_default();
    Settlement {
        outcome: Some(AnswerOutcome::NoAnswer),
        answer: Some(AnswerText { text: refusal.to_owned(), ..answer }),
        sources: Source::list(passages, &[]),
        citations: Vec::new(),
        escalation_reason: Some(EscalationReason::Ungrounded),
        draft: Some(answer.text),
        ..ungrounded
    }
}

/// Judges a completion by the passages and by what the customer said.
pub fn judge(
    passages: &[Passage],
    completion: &Completion,
    customer: &[&str],
    refusal: &str,
    threshold: f64,
    (signals, fit): (&Signals, Option<&Fit>),
) -> Settlement {
    let (citations, invalid_citations) = find_citations(&completion.text, passages.len());
    let text = completion.text.trim();
    let is_refusal = text.is_empty() || text.contains(refusal.trim());
    let doubt = Doubt::new(&signals.clone().with_refusal(is_refusal), fit);
    let is_doubtful = is_refusal || doubt.hands_over(passages, threshold);
    let incomplete_reason = match completion.finish_reason {
        FinishReason::MaxTokens => Some(IncompleteReason::MaxTokens),
        FinishReason::ContentFilter => Some(IncompleteReason::ContentFilter),
        FinishReason::Stop => None,
    };
    let is_whole = incomplete_reason.is_none();
    Settlement {
        status: if is_whole { AnswerStatus::Completed } else { AnswerStatus::Incomplete },
        outcome: Some(if is_refusal { AnswerOutcome::NoAnswer } else { AnswerOutcome::Answered }),
        incomplete_reason,
        answer: Some(AnswerText {
            text: if text.is_empty() { refusal.to_owned() } else { text.to_owned() },
            language: None,
            finish_reason: Some(<&str>::from(completion.finish_reason).to_owned()),
        }),
        sources: Source::list(passages, &citations),
        citations,
        nearest_distance: nearest(passages),
        escalation_threshold: threshold,
        escalation_reason: is_doubtful.then_some(EscalationReason::LowConfidence),
        doubt: Some(doubt),
        grounding: Some(if is_refusal {
            Grounding { checked: true, ..Grounding::default() }
        } else {
            Grounding::check(text, passages, customer, invalid_citations)
        }),
        ..Settlement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "I don't have information about that.";

    fn passage(distance: f64) -> Passage {
        Passage { distance, ..Passage::default() }
    }

    fn judged(distance: f64, text: &str) -> Settlement {
        let completion = Completion {
            text: text.into(),
            finish_reason: FinishReason::Stop,
            usage: crate::model::TokenUsage::default(),
            left: crate::model::RateLimitRemaining::default(),
        };
        judge(&[passage(distance)], &completion, &[], REFUSAL, 0.4, (&Signals::default(), None))
    }

    fn verdict(settlement: &Settlement) -> (Option<AnswerOutcome>, Option<EscalationReason>) {
        (settlement.outcome, settlement.escalation_reason)
    }

    #[test]
    fn an_answer_from_a_near_passage_stands() {
        let settlement = judged(0.3, "Two people. [1]");
        assert_eq!(verdict(&settlement), (Some(AnswerOutcome::Answered), None));
        assert_eq!((settlement.citations.len(), settlement.sources[0].cited), (1, true));
    }

    #[test]
    fn a_far_passage_asks_for_a_human_and_still_answers() {
        let far = (Some(AnswerOutcome::Answered), Some(EscalationReason::LowConfidence));
        assert_eq!(verdict(&judged(0.41, "Two. [1]")), far);
    }

    #[test]
    fn a_refusal_asks_for_a_human_however_near_the_passage() {
        let refused = (Some(AnswerOutcome::NoAnswer), Some(EscalationReason::LowConfidence));
        assert_eq!(verdict(&judged(0.1, REFUSAL)), refused);
    }

    #[test]
    fn what_no_passage_says_is_withheld_and_a_human_is_asked_for() {
        let ungrounded = judged(0.1, "Two. [2]");
        assert!(!ungrounded.is_sound());
        let withheld = withhold(REFUSAL, ungrounded, &[passage(0.1)]);
        assert_eq!(verdict(&withheld), (Some(AnswerOutcome::NoAnswer), Some(EscalationReason::Ungrounded)));
        assert_eq!(withheld.answer.unwrap().text, REFUSAL);
        assert_eq!(withheld.draft.as_deref(), Some("Two. [2]"));
        assert_eq!(withheld.grounding.unwrap().invalid_citations, [2]);
    }

    #[test]
    fn an_empty_completion_is_a_refusal() {
        assert_eq!(judged(0.1, " ").answer.unwrap().text, REFUSAL);
    }
}
