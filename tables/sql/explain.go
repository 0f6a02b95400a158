package sql

// Explain is EXPLAIN query: how a look-up would be answered, without its answer.
type Explain struct {
	At    Pos
	Query *Select
}

func (s *Explain) statement() {}

// Pos is where the statement begins.
func (s *Explain) Pos() Pos { return s.At }

// explain reads what follows EXPLAIN.
func (p *parser) explain(at Pos) (Statement, error) {
	switch t := p.tok(); {
	case t.is("ANALYZE"), t.is("VERBOSE"), t.is("("):
		return nil, p.errorAt(t.at, "EXPLAIN has no options here", "write EXPLAIN SELECT ..")
	case t.is("CREATE"):
		return nil, p.errorAt(t.at, "EXPLAIN is for look-ups", "what a definition reads, keeps and writes says `brotally plan FILE.sql`")
	}
	query, err := p.selectQuery()
	return &Explain{At: at, Query: query}, err
}
