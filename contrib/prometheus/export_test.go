package prometheus

// Debtors is how many jobs have debts.
func (m *Metrics) Debtors() int { return len(m.executions.debts.debtors()) }
