//! Who may use a cortex.

/// The permission of every kernel object that a cortex is made of.
///
/// System V objects have no execute permission, and the kernel ignores the umask for them
/// (`shmget(2)`): what is chosen here is what they get. Reading and writing through a
/// [`crate::Cortex`] needs both read and write permission; an [`crate::Observer`] needs read only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Permission {
    /// 0600: the user who made it. The default.
    #[default]
    OwnerOnly,
    /// 0660: also the group.
    OwnerAndGroup,
    /// 0666: everyone may read and write.
    ReadWriteForOthers,
    /// 0664: the group may read and write, everyone may observe.
    ReadOnlyForOthers,
    /// 0666: everyone. The same as [`Permission::ReadWriteForOthers`]; both names are of neocortex 3.
    FullAccessForEveryone,
    /// These bits of the nine that `chmod` knows.
    Custom(u32),
}

/// The user and the group that a cortex is given; `None` leaves the creator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
}

impl Owner {
    /// As in `chown(2)`, the number that no user has leaves it as it is.
    pub(crate) fn new(user: Option<u32>, group: Option<u32>) -> Self {
        let known = |&id: &u32| id != u32::MAX;
        Self {
            user: user.filter(known),
            group: group.filter(known),
        }
    }

    /// Whether there is anything to change.
    pub(crate) fn is_given(self) -> bool {
        self != Self::default()
    }
}

impl Permission {
    /// The permission bits.
    pub fn mode(self) -> u32 {
        match self {
            Self::OwnerOnly => 0o600,
            Self::OwnerAndGroup => 0o660,
            Self::ReadWriteForOthers | Self::FullAccessForEveryone => 0o666,
            Self::ReadOnlyForOthers => 0o664,
            Self::Custom(mode) => mode & 0o777,
        }
    }
}
