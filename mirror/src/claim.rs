//! Who is the origin of a name: claims, and which of them wins.
//!
//! A publisher claims a name by a token that every mirror of the name sees, and that goes when the publisher does. Where
//! there are several, all mirrors choose the same one by the same rule: the highest term, among equals the elder epoch,
//! then the smaller origin. A clock decides nothing but which of two equal terms is the elder.
//!
//! It is availability, and not consensus: while the network is cut, each half may have a winner of its own.

use std::cmp::Reverse;

/// What a publisher claims to be for a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Raised by each take-over. The first is 1.
    pub term: u64,
    /// When this publisher began to offer this segment: nanoseconds of its wall clock since 1970, and never twice the
    /// same of one publisher. Versions of different epochs are not compared.
    pub epoch: u64,
    /// The publisher's host, in the words of its operator.
    pub origin: String,
}

impl Claim {
    /// Returns what claims are ordered by: the greater one wins.
    pub fn rank(&self) -> impl Ord + '_ {
        (self.term, Reverse(self.epoch), Reverse(&self.origin))
    }

    fn is_outdated_by(&self, other: &Self) -> bool {
        self.origin == other.origin && (self.term, self.epoch) < (other.term, other.epoch)
    }
}

/// Returns the claim that wins.
///
/// Of one origin only the newest claim counts: the token of a host that was cut off, or lost its power, stays until the
/// lease ends, and the host may be back before that.
pub fn winner<'a>(claims: impl IntoIterator<Item = &'a Claim> + Clone) -> Option<&'a Claim> {
    let all = claims.clone();
    let is_newest = |claim: &&Claim| {
        !all.clone()
            .into_iter()
            .any(|other| claim.is_outdated_by(other))
    };
    claims
        .into_iter()
        .filter(is_newest)
        .max_by(|a, b| a.rank().cmp(&b.rank()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(term: u64, epoch: u64, origin: &str) -> Claim {
        let origin = origin.to_owned();
        Claim {
            term,
            epoch,
            origin,
        }
    }

    #[test]
    fn the_higher_term_wins_then_the_elder_then_the_smaller_origin() {
        let claims = [
            claim(1, 5, "a"),
            claim(2, 9, "b"),
            claim(2, 8, "d"),
            claim(2, 8, "c"),
        ];
        assert_eq!(winner(&claims), Some(&claims[3]));
        assert_eq!(winner(&claims[..3]), Some(&claims[2]));
        assert_eq!(winner(&claims[..2]), Some(&claims[1]));
        assert_eq!(winner(&[]), None);
    }

    #[test]
    fn of_one_origin_only_the_newest_claim_counts() {
        // `a` was restarted. Its elder claim would win against `b`, and is not `a`'s any more.
        let claims = [claim(1, 5, "a"), claim(1, 7, "b"), claim(1, 9, "a")];
        assert_eq!(winner(&claims), Some(&claims[1]));
        assert_eq!(
            winner(&[claims[0].clone(), claims[2].clone()]),
            Some(&claims[2])
        );
    }

    #[test]
    fn every_order_of_the_same_claims_has_the_same_winner() {
        let mut claims = vec![
            claim(1, 5, "a"),
            claim(1, 7, "b"),
            claim(1, 9, "a"),
            claim(1, 7, "c"),
        ];
        let first = winner(&claims).cloned();
        for _ in 0..claims.len() {
            claims.rotate_left(1);
            assert_eq!(winner(&claims).cloned(), first);
            claims.swap(0, 2);
            assert_eq!(winner(&claims).cloned(), first);
        }
    }
}
