//! `demo`
use super::context::Context;
use super::failure::Failure;
/// Shows the main job.
///
/// # Errors
/// [`Failure`].
pub fn demo(_context: &mut Context<'_, '_>) -> Result<(), Failure> {
    Err(Failure::unexpected("not yet"))
}
