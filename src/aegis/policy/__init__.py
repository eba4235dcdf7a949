"""The policy engine: documents, compiler, evaluator. Pure: (bundle, request) gives the same decision, byte for byte."""
