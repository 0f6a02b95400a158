package sql

import "strings"

// Closest returns the candidate that word most likely is a misspelling of, or "" when none is near: at most a third
// of its characters may differ (one of two or three, two from four characters on), or one must begin with the other.
// Case counts for nothing. Of equally near ones the first is returned.
func Closest(word string, candidates []string) string {
	best, bestAt := "", 1<<30
	w := strings.ToLower(word)
	for _, c := range candidates {
		lc := strings.ToLower(c)
		d := distance(w, lc)
		limit := max(len(w)/3, min(len(w)/2, 2))
		// qtype for qtype_name, orig_h for id.orig_h: a part of the name is nearer than its length says.
		if len(w) >= 3 && d > limit && (strings.HasPrefix(lc, w) || strings.HasSuffix(lc, "."+w) || strings.HasPrefix(w, lc) && len(lc) >= 3) {
			d = limit
		}
		if d <= limit && d < bestAt {
			best, bestAt = c, d
		}
	}
	return best
}

// DidYouMean returns `did you mean X?` for the closest candidate, or "" when none is near.
func DidYouMean(word string, candidates []string) string {
	if c := Closest(word, candidates); c != "" {
		return "did you mean " + c + "?"
	}
	return ""
}

// distance is the Levenshtein distance in bytes; swapping two neighbours counts as one (optimal string alignment).
func distance(a, b string) int {
	const tooLong = 64 // names are short; a pasted text is no misspelling of one
	if len(a) > tooLong || len(b) > tooLong {
		return 1 << 20
	}
	var rows [3][tooLong + 1]int
	prev2, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
