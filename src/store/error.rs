//! Why the store refuses, and whether that means damage.

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no: disk full, I/O error, not a database, changed by hand.
    #[error("the database refused: {0}")]
    Sql(#[from] rusqlite::Error),
    /// PostgreSQL says no, or holds something of another type than was written.
    #[error("the database refused: {said}")]
    Server {
        /// What it said, with its code.
        said: String,
        /// Whether the data are wrong, as opposed to a full disk, a lock or a missing right.
        damage: bool,
    },
    /// There is no connection to PostgreSQL, or there is none any more. Nothing was committed.
    #[error("there is no connection to the database server: {0}")]
    Lost(String),
    /// The connection was lost while a commit was answered: what was written is there as a whole, or not at all.
    #[error("the connection was lost during a commit, so it is not known whether the records are there; try again")]
    Unknown,
    /// The address of a database is none, or must not be used so.
    #[error("the address of the database {0}")]
    Address(String),
    /// It is not a vault's database of this version.
    #[error("this is not a vault database of this version")]
    Format,
    /// A vault would be written over.
    #[error("{0} holds something already; name an empty database")]
    Occupied(&'static str),
    /// Something that must be there is not, or is there twice.
    #[error("the database lacks {0}, or has it more than once")]
    Rows(&'static str),
    /// A copy that was read again is not what was copied.
    #[error("the copy differs from the original in {0}; nothing was switched")]
    Copy(&'static str),
    /// The settings durability depends on are not in force.
    #[error("the database does not run with {0}")]
    Setting(String),
}

impl StoreError {
    /// Whether the data themselves are wrong, as opposed to a full or failing disk or a lost connection.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TypeMismatch};
        match self {
            StoreError::Sql(rusqlite::Error::SqliteFailure(failure, _)) => {
                matches!(failure.code, DatabaseCorrupt | NotADatabase | TypeMismatch | ConstraintViolation)
            }
            StoreError::Sql(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::SqlInputError { .. },
            ) => true,
            StoreError::Server { damage, .. } => *damage,
            StoreError::Sql(_)
            | StoreError::Lost(_)
            | StoreError::Unknown
            | StoreError::Address(_)
            | StoreError::Occupied(_)
            | StoreError::Copy(_)
            | StoreError::Setting(_) => false,
            StoreError::Format | StoreError::Rows(_) => true,
        }
    }

    /// Whether a commit was sent and its answer never came.
    pub fn is_unknown(&self) -> bool {
        matches!(self, StoreError::Unknown)
    }
}

/// What every operation of this room gives back.
pub type Result<T> = std::result::Result<T, StoreError>;
