"""Which policy Salesforce's own records follow."""
