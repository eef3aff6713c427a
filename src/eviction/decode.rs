//! [`DecodeEviction`]: eviction while tokens are generated.
//!
//! H2O, Scissorhands and both with VATP, as the VATP code does it; StreamingLLM.
//!
//! ```text
//! a_h[slot]: what the new token's query in head h gives to the list's tokens and to itself
//! score[slot] += reduce_h a_h[slot] (* ||v[slot]||)       begins with 0 (or epsilon * ||v[slot]||)
//! longer than the budget?  remove the least of what is neither protected nor among the W latest
//! ```
//!
//! Slots are in the order of the cache's list, oldest first. Removing one closes the gap: all
//! behind it move up by one. A list stays at heavy + W tokens; what is removed never comes back.
//!
//! The reference masks instead of removing. A masked token weighs nothing and its sum is forgotten,
//! so the outcome is the same.

use super::top_k::least;
use super::vatp::list_norms;
use super::{Decoding, EvictionOptions, Kept, Method, TokenStats, ValueNorm};
use crate::error::{Error, Result};
use crate::heads::GroupReduce;

/// What eviction while decoding remembers of each list.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeEviction {
    stored: usize,
    readers: usize,
    reduce: GroupReduce,
    decoding: Decoding,
    recent: usize,
    value_norm: Option<ValueNorm>,
    lists: Vec<List>,
}

#[derive(Debug, Clone, PartialEq)]
struct List {
    /// One per slot: the sum of attention, or for [`Decoding::Recency`] the position.
    scores: Vec<f32>,
    /// One per slot where values count, else none.
    norms: Vec<f32>,
    /// Slots at the start that stay.
    protected: usize,
    /// Slots that the list may have.
    limit: usize,
}

impl DecodeEviction {
    /// What is kept of a prompt, as the state to go on from; `None` for a method that adds new
    /// tokens and evicts none.
    ///
    /// # Errors
    /// [`Error::Usage`] for options out of range, [`Error::Bug`] if the statistics are not what
    /// [`Method::wanted`] asks for, or of another prompt than `kept`.
    pub fn new(
        method: &Method,
        kept: &Kept,
        stats: &TokenStats,
        options: &EvictionOptions,
    ) -> Result<Option<Self>> {
        let decoding = method.decoding();
        let Some(token_score) = method.token_score().filter(|_| decoding != Decoding::Append)
        else {
            return Ok(None);
        };
        let heads = kept.heads();
        stats.check(&heads)?;
        if stats.tokens != kept.tokens() {
            return Err(Error::bug("token statistics of another prompt")
                .got(stats.tokens)
                .expected(kept.tokens()));
        }
        let tokens = stats.tokens;
        method.check(options)?;
        let (capacity, recent) = (options.budget.capacity_tokens, options.budget.window_tokens);
        let value_norm =
            Some(options.value_norm).filter(|norm| method.vatp() && *norm != ValueNorm::Off);
        let sinks = match decoding {
            Decoding::Recency => options.streaming_sinks,
            _ if method.vatp() => options.sink_tokens,
            _ => 0,
        };
        // The window's tokens leave it one by one, so they need scores too.
        let mut all = options.clone();
        all.budget.window_tokens = 0;
        let mut lists = Vec::with_capacity(heads.layers * heads.stored());
        for layer in 0..heads.layers {
            let scores = match decoding {
                Decoding::Accumulate => token_score.scores(stats, layer, &heads, &all)?,
                _ => (0..tokens).map(|j| j as f32).collect::<Vec<f32>>().repeat(heads.stored()),
            };
            let norms =
                value_norm.map(|norm| list_norms(norm, stats, layer, &heads)).transpose()?;
            for s in 0..heads.stored() {
                let list = kept.positions(layer, s);
                let of_list = |row: &[f32]| list.iter().map(|j| row[*j as usize]).collect();
                lists.push(List {
                    scores: of_list(&scores[s * tokens..]),
                    norms: norms
                        .as_ref()
                        .map(|norms| of_list(&norms[s * tokens..]))
                        .unwrap_or_default(),
                    protected: list.partition_point(|j| (*j as usize) < sinks),
                    limit: if list.len() == tokens { capacity.max(tokens) } else { list.len() },
                });
            }
        }
        Ok(Some(Self {
            stored: heads.stored(),
            readers: heads.readers(),
            reduce: all.budget.reduce,
            decoding,
            recent,
            value_norm,
            lists,
        }))
    }

    /// The norm of a new token's value that [`DecodeEviction::observe`] has to be given, of
    /// [`ValueNorm::Projected`] the mean over the query heads that read the list; `None` where
    /// values do not count.
    pub fn value_norm(&self) -> Option<ValueNorm> {
        self.value_norm
    }

    /// What the tokens of a list are worth so far, in slot order. The protected are no exception:
    /// they are kept for their place, not for a score.
    pub fn scores(&self, layer: usize, head: usize) -> &[f32] {
        &self.lists[layer * self.stored + head].scores
    }

    /// Takes in a new token. `rows`, `[R, slots]`, is the attention of its query over the list's
    /// slots, its own as the last, for each of the query heads that read the list; or `[1, slots]`,
    /// reduced already. `value_norm` belongs to its value and is not looked at where values do not
    /// count.
    ///
    /// # Errors
    /// [`Error::Bug`] if the rows are not one longer than the list.
    pub fn observe(
        &mut self,
        layer: usize,
        head: usize,
        rows: &[f32],
        value_norm: f32,
    ) -> Result<()> {
        let list = &mut self.lists[layer * self.stored + head];
        let slots = list.scores.len() + 1;
        if rows.len() != slots && rows.len() != self.readers * slots {
            return Err(Error::bug("rows of attention do not match their list")
                .at(format!("layer {layer}, head {head}"))
                .got(rows.len())
                .expected(format!(
                    "{slots}, for each of {} query heads or for all",
                    self.readers
                )));
        }
        if self.decoding == Decoding::Recency {
            let position = list.scores.last().map_or(0.0, |latest| latest + 1.0);
            list.scores.push(position);
            return Ok(());
        }
        list.scores.push(0.0);
        if let Some(norm) = self.value_norm {
            list.norms.push(value_norm);
            list.scores[slots - 1] = norm.epsilon() * value_norm;
        }
        let norms = list.norms.iter().copied().chain(std::iter::repeat(1.0));
        for (slot, (score, norm)) in list.scores.iter_mut().zip(norms).enumerate() {
            let weights = rows[slot..].iter().step_by(slots).copied();
            *score += self.reduce.of(weights) * norm;
        }
        Ok(())
    }

    /// The slot to remove from a list that is longer than its budget; to be called until there is
    /// none. The slots behind it move up by one.
    pub fn evict(&mut self, layer: usize, head: usize) -> Option<usize> {
        let list = &mut self.lists[layer * self.stored + head];
        if list.scores.len() <= list.limit {
            return None;
        }
        // A list is never shorter than its window, so there is a slot before the latest.
        let old = list.scores.len() - self.recent;
        // Where all the old ones are sinks, the last of them goes, and then always the one behind
        // those that are left.
        let first = list.protected.min(old - 1);
        let slot = first + least(&list.scores[first..old])?;
        list.scores.remove(slot);
        if !list.norms.is_empty() {
            list.norms.remove(slot);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{QueryRows, ValueNorms, by_name};
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::heads::{CacheHeads, Granularity};

    /// One layer, one head, five tokens; columns sum up to 4, 1, 3, 2, 0.
    fn stats() -> TokenStats {
        let sums = vec![4., 1., 3., 2., 0.];
        TokenStats {
            layers: 1,
            heads: 1,
            kv_heads: 1,
            tokens: 5,
            row_sums: [(QueryRows::All, sums.clone()), (QueryRows::Last(400), sums)].into(),
            value_norms: Some(ValueNorms {
                l1: vec![0.5, 10., 1., 1., 1.],
                l2: vec![1.; 5],
                linf: vec![1.; 5],
            }),
            projected_norms: Some(vec![2., 0., 1., 4., 1.]),
            replayed: None,
        }
    }

    fn options(capacity_tokens: usize, window_tokens: usize) -> EvictionOptions {
        let budget = BudgetOptions { capacity_tokens, window_tokens, ..BudgetOptions::default() };
        EvictionOptions { sink_tokens: 0, ..EvictionOptions::new(budget) }
    }

    fn start(name: &str, options: &EvictionOptions) -> (Vec<u32>, DecodeEviction) {
        let method = by_name(name).unwrap();
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        let (kept, _) = method.select(&stats(), heads, None, options).unwrap();
        let eviction = DecodeEviction::new(method, &kept, &stats(), options).unwrap().unwrap();
        (kept.positions(0, 0).to_vec(), eviction)
    }

    #[test]
    fn a_full_list_loses_its_least_old_token() {
        // Two heavy ones (4 and 3), and the window 3, 4.
        let (kept, mut eviction) = start("h2o", &options(4, 2));
        assert_eq!(kept, [0, 2, 3, 4]);
        // Old are now 0, 2 and 3, which has left the window: 4.1, 3.1, 2.6. Slot 2 goes.
        eviction.observe(0, 0, &[0.1, 0.1, 0.6, 0.1, 0.1], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(2));
        assert_eq!(eviction.evict(0, 0), None);
        // Slots are now tokens 0, 2, 4, 5. Old: 4.1, 3.1, and 4 with 0.1 + 3.1: token 2 goes.
        eviction.observe(0, 0, &[0.0, 0.0, 3.1, 0.0, 0.0], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(1));
        assert_eq!(eviction.scores(0, 0).len(), 4);
    }

    #[test]
    fn without_vatp_there_are_no_sinks() {
        let (_, mut eviction) = start("h2o", &EvictionOptions { sink_tokens: 2, ..options(4, 2) });
        // 4 + 0, 3 + 9, 2 + 9.
        eviction.observe(0, 0, &[0., 9., 9., 0., 0.], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(0));
    }

    #[test]
    fn rows_of_query_heads_are_reduced() {
        let heads =
            CacheHeads { layers: 1, heads: 2, kv_heads: 1, granularity: Granularity::KvHead };
        let mut stats = stats();
        stats.heads = 2;
        stats.row_sums.insert(QueryRows::All, [4., 1., 3., 2., 0.].repeat(2));
        for (reduce, expected) in [
            (GroupReduce::Mean, [4. + 0.5, 3., 2., 0.25, 0.25]),
            (GroupReduce::Max, [4. + 0.75, 3., 2., 0.25, 0.5]),
            (GroupReduce::Sum, [8. + 1., 6., 4., 0.5, 0.5]),
        ] {
            let mut options = options(4, 2);
            options.budget.reduce = reduce;
            let method = by_name("h2o").unwrap();
            let (kept, _) = method.select(&stats, heads, None, &options).unwrap();
            let new = DecodeEviction::new(method, &kept, &stats, &options).unwrap().unwrap();
            let mut both = new.clone();
            let rows = [0.25, 0., 0., 0.25, 0.5, 0.75, 0., 0., 0.25, 0.];
            both.observe(0, 0, &rows, 1.0).unwrap();
            assert_eq!(both.scores(0, 0), expected, "{reduce:?}");
            let reduced: Vec<f32> =
                (0..5).map(|i| reduce.of([rows[i], rows[5 + i]].into_iter())).collect();
            let mut one = new;
            one.observe(0, 0, &reduced, 1.0).unwrap();
            assert_eq!(one, both);
        }
    }

    #[test]
    fn equal_scores_lose_the_later_token() {
        let (_, mut eviction) = start("h2o", &options(4, 2));
        // 4, 3, 2 + 1: tokens 2 and 3 are worth 3 each.
        eviction.observe(0, 0, &[0., 0., 1., 0., 0.], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(2));
    }

    #[test]
    fn values_count_in_the_prompt_and_in_new_rows() {
        // Times the norms: 2, 10, 3, 2, 0. So tokens 1 and 2 are heavy.
        let (kept, mut eviction) = start("h2o+vatp", &options(4, 2));
        assert_eq!(kept, [1, 2, 3, 4]);
        assert_eq!(eviction.value_norm(), Some(ValueNorm::L1));
        eviction.observe(0, 0, &[0.5, 0.1, 0.2, 0.1, 0.1], 3.0).unwrap();
        let expected = [10. + 0.5 * 10., 3. + 0.1, 2. + 0.2, 0.1, 0.1 * 3.];
        assert_eq!(eviction.scores(0, 0), expected);
        assert_eq!(eviction.evict(0, 0), Some(2));
    }

    #[test]
    fn new_values_count_behind_the_output_projection() {
        // Before the window, 4, 1 and 3, plus e, times 2, 0 and 1: tokens 0 and 2. The sum of a new
        // token begins with e, too.
        let projected = EvictionOptions { value_norm: ValueNorm::Projected, ..options(4, 2) };
        let (kept, mut eviction) = start("h2o+vatp", &projected);
        assert_eq!(kept, [0, 2, 3, 4]);
        let e = ValueNorm::Projected.epsilon();
        eviction.observe(0, 0, &[0.5, 0.1, 0.2, 0.1, 0.1], 3.0).unwrap();
        let expected =
            [(4.5 + e) * 2., 3.1 + e, (2.2 + e) * 4., 0.1 + e, (0.1 + e) * 3.].into_iter();
        for (got, expected) in eviction.scores(0, 0).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6 * expected, "{got} {expected}");
        }
        assert_eq!(eviction.evict(0, 0), Some(1));
    }

    #[test]
    fn sinks_stay_and_the_last_of_them_goes_where_there_is_nothing_else() {
        let two = EvictionOptions { sink_tokens: 2, ..options(4, 2) };
        let (kept, mut eviction) = start("h2o+vatp", &two);
        assert_eq!(kept, [0, 1, 3, 4]);
        // Token 3 leaves the window; sink 0 is worth less, but stays.
        eviction.observe(0, 0, &[0., 0., 9., 0., 0.], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(2));
        // A prompt of five that fits: all five are sinks, and the list is full.
        let five = EvictionOptions { sink_tokens: 4, ..options(5, 1) };
        let (kept, mut eviction) = start("h2o+vatp", &five);
        assert_eq!(kept, [0, 1, 2, 3, 4]);
        eviction.observe(0, 0, &[0., 0., 0., 0., 9., 0.], 1.0).unwrap();
        assert_eq!(eviction.evict(0, 0), Some(4));
    }

    #[test]
    fn a_short_prompt_grows_up_to_the_capacity() {
        let (kept, mut eviction) = start("scissorhands", &options(7, 2));
        assert_eq!(kept.len(), 5);
        for slots in [6, 7] {
            eviction.observe(0, 0, &vec![0.1; slots], 1.0).unwrap();
            assert_eq!(eviction.evict(0, 0), None);
        }
        eviction.observe(0, 0, &[0.1; 8], 1.0).unwrap();
        // Sums 4.3, 1.3, 3.3, 2.3, 0.3, and token 5 with 0.3: of the equal ones the later.
        assert_eq!(eviction.evict(0, 0), Some(5));
    }

    #[test]
    fn the_reference_adds_whole_rows_to_a_divided_sum() {
        let mut options = options(4, 2);
        let (_, ours) = start("scissorhands", &options);
        assert_eq!(ours.scores(0, 0), [4., 3., 2., 0.]);
        options.budget.reference = true;
        let (_, mut reference) = start("scissorhands", &options);
        reference.observe(0, 0, &[0.1, 0., 0.5, 0.2, 0.2], 1.0).unwrap();
        let expected = [4. / 400. + 0.1, 3. / 400., 2. / 400. + 0.5, 0.2, 0.2];
        assert_eq!(reference.scores(0, 0), expected);
        assert_eq!(reference.evict(0, 0), Some(1));
    }

    #[test]
    fn streaming_loses_its_oldest_that_is_no_sink() {
        let one_sink = EvictionOptions { streaming_sinks: 1, ..options(4, 1) };
        let (kept, mut eviction) = start("streaming_llm", &one_sink);
        assert_eq!(kept, [0, 2, 3, 4]);
        for _ in 0..6 {
            eviction.observe(0, 0, &[0.2; 5], 1.0).unwrap();
            assert_eq!(eviction.evict(0, 0), Some(1));
        }
        // Three sinks and room for one old token: sinks 1 and 2 go, then what leaves the window.
        let three_sinks = EvictionOptions { streaming_sinks: 3, ..options(5, 4) };
        let (kept, mut eviction) = start("streaming_llm", &three_sinks);
        assert_eq!(kept, [0, 1, 2, 3, 4]);
        for _ in 0..4 {
            eviction.observe(0, 0, &[0.2; 6], 1.0).unwrap();
            assert_eq!(eviction.evict(0, 0), Some(1));
        }
    }

    #[test]
    fn others_do_not_evict_and_rows_must_fit() {
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        for name in ["full", "snapkv+vatp"] {
            let method = by_name(name).unwrap();
            let state = DecodeEviction::new(method, &Kept::all(heads, 5), &stats(), &options(4, 2));
            assert_eq!(state.unwrap(), None);
        }
        let (_, mut eviction) = start("h2o", &options(4, 2));
        assert_eq!(eviction.observe(0, 0, &[0.2; 4], 1.0).unwrap_err().exit_code(), 1);
        let other = Kept::all(heads, 6);
        let error = DecodeEviction::new(by_name("h2o").unwrap(), &other, &stats(), &options(4, 2));
        assert_eq!(error.unwrap_err().exit_code(), 1);
    }
}
