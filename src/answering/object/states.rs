//! The states of an answer, its escalation and its session.

use crate::words::words;

words! {
    /// The progress of a question.
    #[derive(Default)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum AnswerStatus {
        #[default]
        Queued,
        InProgress,
        Completed,
        Incomplete,
        Failed,
        Cancelled,
        Expired,
    }
}

words! {
    /// The result of a question.
    pub enum AnswerOutcome {
        /// The passages answer it.
        Answered,
        /// They do not; the customer got the refusal.
        NoAnswer,
        /// A human has the session.
        HumanOwned,
        /// A later question of the session replaced it.
        Superseded,
        /// No model may be asked; the customer got the fallback.
        Fallback,
        /// A human wrote the answer.
        Human,
    }
}

words! {
    /// Why a text ends early.
    #[expect(missing_docs, reason = "the names say it")]
    pub enum IncompleteReason {
        MaxTokens,
        ContentFilter,
    }
}

words! {
    /// Why a human is asked for.
    pub enum EscalationReason {
        /// The nearest passage is too distant, or the model refused.
        LowConfidence,
        /// Nothing was found.
        NoPassages,
        /// The answer claims or cites what no passage says.
        Ungrounded,
        /// The question could not be answered.
        Failed,
        /// The customer wants to speak to a human.
        AskedForHuman,
        /// No model may be asked.
        Paused,
    }
}

words! {
    /// Whether a human has taken an escalation.
    #[derive(Default)]
    pub enum EscalationStatus {
        /// Nobody has.
        #[default]
        Open,
        /// Somebody has.
        Acknowledged,
        /// It was answered, or its session given back.
        Resolved,
    }
}

words! {
    /// A customer's opinion of an answer.
    #[expect(missing_docs, reason = "the names say it")]
    pub enum Rating {
        Up,
        Down,
    }
}

words! {
    /// Who answers in a session.
    #[schema(as = Owner)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum SessionOwner {
        Bot,
        Human,
    }
}

impl AnswerStatus {
    /// Whether the status is terminal.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}
