//! Text to token ids.
//!
//! Purpose: find the files of a [`crate::domain::Source`], read corpora, instruction datasets and evaluation files, train
//! and apply tokenizers, find imported models, write and read prepared token files, and define the order of training data.
//! Remote data are fetched first by [`download`]; the built-in toy [`world`] can replace files of every kind.
//!
//! Invariant: the same content gives the same ids in the same order on every machine, whatever the thread count, folder
//! or time. All random numbers are functions of the arguments.
//!
//! Rejected: streaming documents from disk into training. Token files are written once and read by every run,
//! which makes the data order a function of (seed, epoch, index) instead of the state of a reader.

mod archive;
mod atomic;
mod chat;
mod clean;
mod corpus;
mod density;
mod detect;
mod dialogue;
mod digests;
pub mod download;
mod error;
mod evaluation;
mod files;
mod formatted;
mod generate;
mod in_parallel;
mod locate;
mod mixture;
mod model_export;
mod model_folder;
mod new_folder;
mod order;
mod pieces;
mod prepared;
mod record;
mod records;
mod row_records;
mod rows;
mod sampled;
mod source_file;
mod stamp;
mod table_file;
mod teacher;
mod tokenizer;
mod tokenizer_text;
mod words;
pub mod world;

pub use atomic::replace_file;
pub use corpus::{documents, streams};
pub use density::{Lacking, find_lacking};
pub use detect::detect_format;
pub use digests::{FileDigest, FileDigests};
pub use error::DataError;
pub use evaluation::{evaluation_file, evaluation_files};
pub use formatted::{Formatter, PairTexts, TokenizedRecord};
pub use generate::{Generated, generate, generation_retry_policy};
pub use locate::{Survey, TextFormat};
pub use mixture::{Mixture, ReplayedRows};
pub use model_export::{ExportedRevision, export_model, export_revisions};
pub use model_folder::model_config;
pub use new_folder::write_files;
pub use order::Permutation;
pub use pieces::{pieces, record_texts};
pub use prepared::{
    HeldOut, Ledger, PreparedCorpus, PreparedDataset, PreparedRecord, Split, SplitSize, TokenWidth, prepare_corpus,
    prepare_dataset,
};
pub use record::{Message, Record, Segment, Uncertainty};
pub use records::{record_groups, records, records_and_blank};
pub use rows::each_row_of;
pub use sampled::{
    CorrectedRow, DOCUMENT_BORDER, ROWS, RewrittenRow, SampledRow, ScoredRow, sampled_count, sampled_rows,
    write_sampled,
};
pub use source_file::copy_source;
pub use stamp::stamp_of;
pub use table_file::{ColumnType, TableFile, Value};
pub use teacher::{RewrittenPair, TeacherAnswer, TeacherAnswers, ask_teacher};
pub use tokenizer::{Encoding, TokenDifference, TokenizationLoss, Tokenizer, copy_tokenizer};
pub use tokenizer_text::{ReadTexts, tokenizer_texts};
