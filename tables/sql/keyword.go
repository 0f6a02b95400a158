package sql

import "strings"

// reserved words are names only in quotes, or behind AS. As few as possible: Zeek's columns are called version, method
// and the like, and a word such as count, ttl or window stays a name wherever it cannot be anything else.
var reserved = map[string]bool{
	"ALL": true, "AND": true, "AS": true, "BETWEEN": true, "CASE": true, "CAST": true, "CREATE": true, "DISTINCT": true,
	"ELSE": true, "END": true, "FALSE": true, "FROM": true, "GROUP": true, "HAVING": true, "ILIKE": true, "IN": true,
	"IS": true, "ISNULL": true, "LIKE": true, "LIMIT": true, "NOT": true, "NOTNULL": true, "NULL": true, "OFFSET": true,
	"OR": true, "ORDER": true, "SELECT": true, "THEN": true, "TRUE": true, "UNION": true, "WHEN": true, "WHERE": true,
}

// IsReserved reports whether word can be a name only in quotes.
func IsReserved(word string) bool { return reserved[upper(word)] }

func (t token) isReserved() bool { return t.kind == tokWord && IsReserved(t.text) }

// upper and lower change ASCII letters alone: keywords have no others, and Unicode's cases do not always lead back
// (the Kelvin sign's lower case is k, whose upper case is not the Kelvin sign).
func upper(s string) string { return mapASCII(s, 'a', 'z', 'A'-'a') }

func lower(s string) string { return mapASCII(s, 'A', 'Z', 'a'-'A') }

func mapASCII(s string, from, to rune, by rune) string {
	return strings.Map(func(r rune) rune {
		if r >= from && r <= to {
			return r + by
		}
		return r
	}, s)
}
