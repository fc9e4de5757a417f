"""The api plane: AWS's protocols around the operations of ``services``, driven by botocore's service models.

plane → sigv4 → json_protocol | query_protocol (decode) → validate → waist → (encode) → answer
"""
