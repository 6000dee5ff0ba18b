//! Files of tensors: safetensors, model folders in the Hugging Face format, checkpoints, and output files that are kept
//! during training.

pub mod checkpoint;
pub mod model_folder;
mod names;
pub mod output_files;
pub mod tensor_file;

pub use checkpoint::{Checkpoint, LatestCheckpoint, SavedCheckpoint};
pub use output_files::OutputFiles;
