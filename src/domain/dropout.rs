//! Dropout inside a model.

/// The probabilities with which a model drops numbers in training.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropout {
    /// Of the embeddings of the tokens, with their positions.
    pub embedding: f64,
    /// Of the weights of attention.
    pub attention: f64,
    /// Of the outputs of attention and of feed-forward layers.
    pub residual: f64,
    /// Of whole layers.
    pub layers: f64,
}

/// What a dropout probability applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropoutPlace {
    /// See [`Dropout::embedding`].
    Embedding,
    /// See [`Dropout::attention`].
    Attention,
    /// See [`Dropout::residual`].
    Residual,
    /// See [`Dropout::layers`].
    Layers,
}

impl Dropout {
    /// The same probabilities but for one place.
    #[must_use]
    pub fn with(self, place: DropoutPlace, share: f64) -> Self {
        match place {
            DropoutPlace::Embedding => Self { embedding: share, ..self },
            DropoutPlace::Attention => Self { attention: share, ..self },
            DropoutPlace::Residual => Self { residual: share, ..self },
            DropoutPlace::Layers => Self { layers: share, ..self },
        }
    }

    /// The largest probability; 0 if nothing is dropped.
    pub fn largest(self) -> f64 {
        let Self { embedding, attention, residual, layers } = self;
        [embedding, attention, residual, layers].into_iter().fold(0.0, f64::max)
    }
}
