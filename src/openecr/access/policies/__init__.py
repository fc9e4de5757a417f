"""IAM's policies: what a document may say, and what all that apply to a request decide together. Pure, no I/O.

    document.parse(text, kind) → Policy → evaluation.evaluate(request, policies) → Verdict

``document`` reads and compiles a text, ``validation`` refuses what IAM or ECR would, ``principals``, ``matching``,
``variables`` and ``conditions`` are the parts of a statement, ``evaluation`` weighs the policies against each other,
``wording`` says the outcome as AWS does. Source: the IAM User Guide; each file names its pages.
"""
