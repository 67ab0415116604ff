//! The figures, one file each.

mod action_loop;
mod build_cache;
mod growth;
mod init;
mod logs;
mod memory;
mod overhead;
mod run;
mod size;
mod start;

use std::path::PathBuf;

use crate::programs::Actions;
use crate::report::Report;
use crate::subject::Subject;

/// What all figures share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub actions: Actions,
    pub proxy: PathBuf,
    /// The runtime that answers at once.
    pub instant: Subject,
    /// This proxy first, then whatever it is put beside.
    pub subjects: Vec<Subject>,
    /// Of the usual number of runs.
    pub percent: usize,
    /// What the heading of a case must have to be measured.
    pub case: String,
}

impl Bench {
    /// `usual`, or the part of it that was asked for.
    pub(crate) fn runs(&self, usual: usize) -> usize {
        (usual * self.percent / 100).max(1)
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Run,
    ActionLoop,
    Overhead,
    Start,
    Memory,
    Logs,
    Init,
    BuildCache,
    Growth,
    Size,
}

impl Figure {
    pub(crate) const ALL: [Figure; 10] = [
        Figure::Run,
        Figure::ActionLoop,
        Figure::Overhead,
        Figure::Start,
        Figure::Memory,
        Figure::Logs,
        Figure::Init,
        Figure::BuildCache,
        Figure::Growth,
        Figure::Size,
    ];

    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Figure::Run => "run",
            Figure::ActionLoop => "action-loop",
            Figure::Overhead => "overhead",
            Figure::Start => "start",
            Figure::Memory => "memory",
            Figure::Logs => "logs",
            Figure::Init => "init",
            Figure::BuildCache => "build-cache",
            Figure::Growth => "growth",
            Figure::Size => "size",
        }
    }

    /// # Errors
    /// Where this proxy or an action cannot be started. What fails beside it is a note.
    pub(crate) fn measure(self, bench: &Bench, report: &mut Report) -> Result<(), String> {
        match self {
            Figure::Run => run::measure(bench, report),
            Figure::ActionLoop => action_loop::measure(bench, report),
            Figure::Overhead => overhead::measure(bench, report),
            Figure::Start => start::measure(bench, report),
            Figure::Memory => memory::measure(bench, report),
            Figure::Logs => logs::measure(bench, report),
            Figure::Init => init::measure(bench, report),
            Figure::BuildCache => build_cache::measure(bench, report),
            Figure::Growth => growth::measure(bench, report),
            Figure::Size => size::measure(bench, report),
        }
    }
}

/// A number of bytes as people write it.
fn size_name(bytes: usize) -> String {
    match bytes {
        1_000_000.. => format!("{} MB", bytes / 1_000_000),
        1_000.. => format!("{} KB", bytes / 1_000),
        _ => format!("{bytes} B"),
    }
}
