package processors

import "github.com/lovoo/goka"

// FailCallbacks makes the Goka callbacks of the stages of that kind fail before they do anything, as often as fail returns
// an error. It must be called before Run.
func (p *Processors) FailCallbacks(kind string, fail func() error) {
	p.built = func(s *stage) {
		if s.kind != kind {
			return
		}
		callback := s.callback
		s.callback = func(ctx goka.Context, work any) {
			if err := fail(); err != nil {
				ctx.Fail(err)
			}
			callback(ctx, work)
		}
	}
}

// Arranging has fn called with "topics" before topics are made, with "stages" before stages are started, of what the catalog was.
func (p *Processors) Arranging(fn func(what string)) { p.arranging = fn }

// PublishRows sets how many rows a transaction publishes at most. It must be called before Run.
func (p *Processors) PublishRows(n int) { p.publishRows = n }
