import java.sql.*;

// What a JDBC tool does: metadata, prepared statements in text and binary, a fetch size, an error. jdbc_test.go runs it.
class Jdbc {
    static void print(String what, ResultSet r, String... columns) throws SQLException {
        System.out.println("# " + what);
        while (r.next()) {
            StringBuilder line = new StringBuilder();
            for (String c : columns) line.append(line.length() > 0 ? "|" : "").append(r.getObject(c));
            System.out.println(line);
        }
        r.close();
    }

    public static void main(String[] args) throws SQLException {
        try (Connection c = DriverManager.getConnection(args[0])) {
            DatabaseMetaData m = c.getMetaData();
            System.out.println(m.getDatabaseProductName() + " " + m.getDatabaseProductVersion() + ", keywords " + !m.getSQLKeywords().isEmpty());
            print("schemas", m.getSchemas(), "TABLE_SCHEM");
            print("tables", m.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS");
            print("columns", m.getColumns(null, "public", "dns_counts", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "NULLABLE", "ORDINAL_POSITION", "IS_AUTOINCREMENT");
            print("primary keys", m.getPrimaryKeys(null, "public", "dns_counts"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
            print("indexes", m.getIndexInfo(null, "public", "dns_counts", true, false), "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "ORDINAL_POSITION");
            print("foreign keys", m.getImportedKeys(null, "public", "dns_counts"), "FKTABLE_NAME");
            print("functions", m.getFunctions(null, "public", "%"), "FUNCTION_NAME");
            print("views", m.getTables(null, "public", "%", new String[] {"VIEW", "SEQUENCE"}), "TABLE_NAME");
            print("privileges", m.getTablePrivileges(null, "public", "dns_counts"), "PRIVILEGE");
            print("best row", m.getBestRowIdentifier(null, "public", "dns_counts", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME");
            print("types", m.getTypeInfo(), "TYPE_NAME", "DATA_TYPE");

            c.setAutoCommit(false);
            c.setReadOnly(true);
            try (PreparedStatement p = c.prepareStatement("SELECT * FROM kinds WHERE n >= ? AND newest < ? ORDER BY query")) {
                for (int i = 0; i < 7; i++) { // from the fifth time on the driver prepares, and asks for binary
                    p.setInt(1, 2);
                    p.setTimestamp(2, Timestamp.valueOf("2030-01-01 00:00:00"));
                    p.setFetchSize(2);
                    ResultSet r = p.executeQuery();
                    if (i == 0 || i == 6) print("rows " + i, r, "host", "n", "id", "big", "mean", "slowest", "aa", "qtypes");
                }
            }
            c.commit();
            try (Statement s = c.createStatement()) {
                s.executeQuery("SELECT nix FROM dns_counts");
            } catch (SQLException e) {
                System.out.println("# error\n" + e.getSQLState() + " " + e.getMessage());
            }
            c.rollback();
            c.setAutoCommit(true);
            System.out.println("# valid\n" + c.isValid(5) + " " + c.getTransactionIsolation());
        }
    }
}
